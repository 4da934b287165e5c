"""Bits per dimension of held-out images, for tasks with `bits_per_dim`.

The variational bound L_vlb (Nichol & Dhariwal 2021, Sec. 3) over all trained
steps, under the averaged weights.
"""

import math
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from pseudovideo import data, errors, keys, tasks
from pseudovideo.config import parsing
from pseudovideo.devices import batching
from pseudovideo.runs import results
from pseudovideo.tasks import base
from pseudovideo.terminal import progress_bar

FILE = "bits_per_dim.json"
DEFINITIONS = {
  "bits_per_dim": (
    "Upper bound of -log2 p(image) per dimension, L_vlb: the sum of all terms, "
    "one noise per step, estimates of x0 clamped to [-1, 1]; mean over images."
  ),
  "prior": "The part of N(0, I) instead of the noisiest step of the image.",
  "decoder": "The part of the last step, k = 0: 8-bit values given x_0.",
}


def check(config: parsing.Config) -> None:
  """Refuses runs that have no such bound.

  Args:
    config: the saved config of a run.

  Raises:
    UserError: the task has no such bound, or its data are not 8-bit values.
  """
  name, binarize = config.task, config.data.binarize
  able = [n for n, t in tasks.TABLE.items() if base.can(t, "bits_per_dim")]
  if name not in able:
    raise errors.UserError(
      f"Bits per dimension are known for the task {' or '.join(able)} only; "
      f"this is a run of {name}."
    )
  if binarize != "none":
    raise errors.UserError(
      "Bits per dimension need 8-bit values, but this run was trained "
      f"on black-and-white images, with data.binarize {binarize!r} instead of "
      "'none'."
    )


def compute(run: Any, num_images: int | None = None) -> dict[str, np.ndarray]:
  """The bound of each image.

  Args:
    run: a trained run.
    num_images: spread evenly over the held-out images; None takes all.

  Returns:
    (N,) float64 each: `bits_per_dim`, and its parts `prior` and `decoder`.

  Raises:
    UserError: fewer than two images, or more than there are.
  """
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

  progress = progress_bar.Progress(
    num, description=f"bits of {run.config.title}"
  )
  parts = []
  for rows, part in batching.map_batches(
    bound,
    (run.params, run.extra),
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
  """The contents of bits_per_dim.json; see `results`, row `held_out`."""
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
