"""Bits per dimension of held-out images under a run of `image_diffusion`.

  python -m pseudovideo.likelihood --workdir=DIR [--num_images=1000] [--step=N]

Prints the variational bound L_vlb (Nichol & Dhariwal 2021, Sec. 3) over all
trained steps, under the averaged weights, and writes it with where it comes
from to bits_per_dim.json in the workdir. Without --num_images it takes all
held-out images; every image costs as many network evaluations as the process
has steps. How the run samples does not matter.
"""

import math
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from absl import flags

from pseudovideo import command_line, errors

FILE = "bits_per_dim.json"
DEFINITIONS = {
  "bits_per_dim": (
    "Upper bound of -log2 p(image) per dimension, L_vlb: the sum of all terms, "
    "one noise per step, estimates of x0 clamped to [-1, 1]; mean over images."
  ),
  "prior": "The part of N(0, I) instead of the noisiest step of the image.",
  "decoder": "The part of the last step, k = 0: 8-bit values given x_0.",
}


def define_flags() -> flags.FlagValues:
  """The flags, apart from --config."""
  values = flags.FlagValues()
  flags.DEFINE_string("workdir", None, "Folder of the run.", flag_values=values)
  flags.DEFINE_string(
    "data_dir", None, "Where TFDS data sets are.", flag_values=values
  )
  flags.DEFINE_integer(
    "step", None, "Checkpoint to use; the newest if absent.", flag_values=values
  )
  flags.DEFINE_integer(
    "num_images", None, "Held-out images; all if absent.", flag_values=values
  )
  return values


def check(config: Mapping[str, Any]) -> None:
  """Refuses runs that have no such bound.

  Args:
    config: of a run, as it was saved.

  Raises:
    UserError: the task is another one, or its data are not 8-bit values.
  """
  from pseudovideo import tasks

  name, binarize = config["task"]["name"], config["data"]["binarize"]
  able = [n for n, t in tasks.TABLE.items() if hasattr(t, "bits_per_dim")]
  if name not in able:
    raise errors.UserError(
      f"Bits per dimension are known for the task {' or '.join(able)} only; "
      f"this is a run of {name}."
    )
  if binarize != "none":
    raise errors.UserError(
      "Bits per dimension are those of 8-bit values, but this run was trained "
      f"on black-and-white images, with data.binarize {binarize!r} instead of "
      "'none'."
    )


def compute(run: Any, num_images: int | None = None) -> dict[str, np.ndarray]:
  """The bound of single images.

  Args:
    run: of `runs.restore`.
    num_images: spread evenly over the held-out images; None takes all.

  Returns:
    (N,) float64 each: `bits_per_dim`, and its parts `prior` and `decoder`.

  Raises:
    UserError: fewer than two images, or more than there are.
  """
  import jax

  from pseudovideo import data, keys, sharding, writer

  held_out = run.image_set.test_images
  num = len(held_out) if num_images is None else num_images
  if not 2 <= num <= len(held_out):
    raise errors.UserError(
      f"--num_images must lie between 2 and {len(held_out)}, the number of "
      f"held-out images of {run.image_set.name}; got {num}."
    )
  config = run.config.evaluate

  def bound(params, extra, images, key):
    del extra
    result = run.task.bits_per_dim(params, images, key=key)
    decoder = result["terms"][:, 0]
    return {
      "bits_per_dim": result["total"],
      "prior": result["prior"],
      "decoder": decoder,
    }

  progress = writer.Progress(num, description=f"bits of {run.config.title}")
  parts = []
  for rows, part in sharding.in_batches(
    bound,
    run.params,
    run.extra,
    data.spread(held_out, num),
    key=keys.named(jax.random.key(config.seed), "bits_per_dim"),
    batch_size=config.batch_size,
  ):
    parts.append(part)
    progress.update(rows.stop)
  progress.close()
  return {
    name: np.concatenate([part[name] for part in parts]).astype(float)
    for name in DEFINITIONS
  }


def record(
  run: Any, bits: Mapping[str, np.ndarray], seconds: float
) -> dict[str, Any]:
  """What bits_per_dim.json holds; see `results`, row `held_out`."""
  from pseudovideo import results

  config, origin = run.config, results.origin(run)
  origin["data"]["split"] = "test"
  return {
    "title": config.title,
    "metrics": {
      "held_out": {
        name: {
          "name": name,
          "value": values.mean(),
          "standard_error": values.std(ddof=1) / math.sqrt(len(values)),
          "better": "lower",
          "definition": DEFINITIONS[name],
          "num_samples": len(values),
          "reference_split": None,
          "reference_size": None,
        }
        for name, values in bits.items()
      }
    },
    "seeds": {"train": config.train.seed, "noise": config.evaluate.seed},
    "network_evaluations": run.task.process.steps,
    "wall_seconds": {"bits_per_dim": seconds},
    **origin,
  }


def run(argv: Sequence[str]) -> int:
  """Does what the arguments say; returns the exit code."""
  values = define_flags()
  config = command_line.parse(argv, values)
  if not values.workdir:
    raise errors.UserError("Say where the run is, with --workdir=DIR.")
  command_line.set_up()
  # Imported late, so that a mistake in the arguments is answered at once.
  from pseudovideo import results, runs

  check(runs.saved_config(values.workdir))
  restored = runs.restore(
    values.workdir, step=values.step, data_dir=values.data_dir, config=config
  )
  begin = time.monotonic()
  bits = compute(restored, values.num_images)
  written = record(restored, bits, time.monotonic() - begin)
  results.write(restored.workdir / FILE, written)
  for name, metric in written["metrics"]["held_out"].items():
    print(
      f"{name:<14}{metric['value']:>9.4f} +- {metric['standard_error']:.4f}"
    )
  print(
    f"Means and standard errors over {len(bits['prior'])} held-out images at "
    f"step {restored.step} are in {restored.workdir / FILE}."
  )
  return 0


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return command_line.answer(run, argv, __doc__, define_flags())


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
