"""What errors of earlier frames cost the image (Remark 4.2 of the paper).

  python -m experiments.exposure --workdir=RUN [--num_samples=1000] [--out=FILE]

A video model was trained on true earlier frames, and samples from its own.
This scores the last frame when the first frames, those of no stage, of the
first stage, and so on, are those of real pseudo videos of training images, and
the model generates the others. The first line is ordinary sampling; the fewer
frames the model makes, the more of the real image it is shown.
"""

import pathlib
import sys
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from absl import flags

from experiments import tables
from pseudovideo import (
  command_line,
  data,
  errors,
  keys,
  metrics,
  pixels,
  results,
  runs,
)

FILE = "exposure.json"


def define_flags() -> flags.FlagValues:
  """What can be said on the command line."""
  values = flags.FlagValues()
  flags.DEFINE_string("workdir", None, "Folder of the run.", flag_values=values)
  flags.DEFINE_integer(
    "num_samples", None, "By default as the config says.", flag_values=values
  )
  flags.DEFINE_string(
    "out", None, f"By default {FILE} in --workdir.", flag_values=values
  )
  flags.DEFINE_string(
    "data_dir", None, "Where TFDS data sets are.", flag_values=values
  )
  return values


def last_frames(run: runs.Run, first: int, num: int) -> np.ndarray:
  """(num, H, W, C) uint8: stages from `first` on are the model's.

  Args:
    run: of the task `video_diffusion`.
    first: stage that the model begins with.
    num: how many; real frames are those of training images at even distances.
  """
  task, size = run.task, min(num, run.config.evaluate.batch_size)
  images = data.spread(run.image_set.train_images, num)
  key = jax.random.key(run.config.evaluate.seed)

  @jax.jit
  def draw(params, images, rows):
    video = task.pseudo_video(
      params, run.extra, images, key=keys.named(rows, "pseudo_videos")
    )
    video = task.complete(params, video, first, key=keys.named(rows, "samples"))
    return pixels.to_uint8(video[:, -1], task.value_range)

  found = []
  for start in range(0, num, size):
    places = np.arange(start, start + size)
    rows = keys.example_keys(key, size, start)
    batch = images[places % len(images)]
    found.append(np.asarray(draw(run.params, batch, rows)))
  return np.concatenate(found)[:num]


def measure(run: runs.Run, num: int) -> dict[str, dict[str, Any]]:
  """Scores by the number of real frames: "0", ... and "real"."""
  network = metrics.get_feature_network(
    run.image_set, binarize=run.config.data.binarize
  )
  scores = {}
  for stage in range(len(run.task.stages)):
    known = run.task.stages[stage][1][0]
    both = metrics.score(
      last_frames(run, stage, num),
      run.image_set,
      [network],
      num_samples=num,
      seed=run.config.evaluate.seed,
      binarize=run.config.data.binarize,
    )
    scores[str(known)] = both["generated"]
    scores["real"] = both["real"]
  return scores


def record(run: runs.Run, scores: dict[str, Any]) -> dict[str, Any]:
  """What is written: `generated` is ordinary sampling."""
  return {
    "title": f"Exposure of {run.config.title}",
    "metrics": {"generated": scores["0"], **scores},
    "seeds": {
      "train": run.config.train.seed,
      "sample": run.config.evaluate.seed,
    },
    "network_evaluations": run.task.network_evaluations,
    "wall_seconds": {},
    **results.origin(run),
  }


def table(scores: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
  """One row per number of real frames, the held-out data last."""
  names = list(scores["0"])
  labels = {
    which: "held-out data" if which == "real" else f"{which} real frames"
    for which in sorted(scores)
  }
  rows = [
    [label, *(f"{scores[which][name]['value']:.3f}" for name in names)]
    for which, label in labels.items()
  ]
  return ["last frame after", *names], rows


def run(argv: Sequence[str]) -> int:
  """Does what the arguments say; returns the exit code."""
  values = define_flags()
  if command_line.parse(argv, values) is not None:
    raise errors.UserError("The run has its own config; leave --config away.")
  if not values.workdir:
    raise errors.UserError("Say where the run is, with --workdir=DIR.")
  name = runs.saved_config(values.workdir)["task"]["name"]
  if name != "video_diffusion":
    raise errors.UserError(
      "Only runs of the task 'video_diffusion' have earlier frames; "
      f"{values.workdir} is of {name!r}."
    )
  command_line.set_up()
  restored = runs.restore(values.workdir, data_dir=values.data_dir)
  num = values.num_samples
  if num is None:
    num = restored.config.evaluate.num_samples
  if num < 2:
    raise errors.UserError(f"--num_samples must be at least 2; got {num}.")
  scores = measure(restored, num)
  out = pathlib.Path(values.out or restored.workdir / FILE)
  results.write(out, record(restored, scores))
  print(tables.as_text(*table(scores)))
  print(f"Scores are in {out}.")
  return 0


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return command_line.answer(run, argv, __doc__, define_flags())


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
