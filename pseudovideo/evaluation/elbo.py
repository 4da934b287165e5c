"""The variational bound of a run whose task has `negative_elbo`.

It is measured on held-out images, level by level, so that a posterior that
collapsed (a level that costs nothing and says nothing) is seen.

Such a task has the method `negative_elbo(params, extra, images, *, key)`, of
uint8 images (B, H, W, C) and (B,) keys, which returns nats: `total`, `prior`
and `reconstruction`, (B,) each, and `levels`, (B, L); and the field
`reconstruction_likelihood`, a name in `LAST_STEPS`.
"""

import math
from typing import Any

import jax
import numpy as np

from pseudovideo import data, keys, runs
from pseudovideo.devices import batching
from pseudovideo.tasks import base

MOST_IMAGES = 1000
IMAGES_FOR_DELTAS = 250
DEFINITION = (
  "Negative evidence lower bound, nats per image, one draw of the latents per "
  "image; mean and standard error over images. {last}"
)
LAST_STEPS = {
  "bernoulli": "The last step is a Bernoulli: a bound of -log P(image).",
  "gaussian": (
    "The last step is a Gaussian density of pixels in [0, 1], which can be "
    "negative and is no bound of a probability."
  ),
}


def measure(run: runs.Run, most: int = MOST_IMAGES) -> dict[str, Any]:
  """Measures the bound, `bound` in results.json.

  Args:
    run: a trained run; its averaged weights are used.
    most: number of held-out images at most, taken at even distances.

  Returns:
    `negative_elbo` and its parts `reconstruction`, `prior` and `levels` (a
    list, t = 1 ..), each the mean, with the standard error of the first. If the
    task has `best_deltas`, also the best deltas of `IMAGES_FOR_DELTAS` training
    images, and the bound of the held-out images at these deltas.
  """
  parts = per_image(run, run.image_set.test_images, most)
  total = parts["total"]
  found = {
    "negative_elbo": float(total.mean()),
    "standard_error": float(total.std(ddof=1) / math.sqrt(len(total))),
    "reconstruction": float(parts["reconstruction"].mean()),
    "prior": float(parts["prior"].mean()),
    "levels": parts["levels"].mean(0).tolist(),
    "definition": DEFINITION.format(
      last=LAST_STEPS[run.task.reconstruction_likelihood]
    ),
    "split": "test",
    "num_images": len(total),
  }
  if base.can(run.task, "best_deltas"):
    training = per_image(run, run.image_set.train_images, IMAGES_FOR_DELTAS)
    deltas = run.task.best_deltas(training["squared_errors"])
    best = run.task.negative_elbo_at(parts, deltas)
    found["best_deltas"] = np.asarray(deltas, np.float64).tolist()
    found["negative_elbo_at_best_deltas"] = float(best["total"].mean())
  return found


def per_image(
  run: runs.Run, images: np.ndarray, most: int
) -> dict[str, np.ndarray]:
  """The parts of the bound, (N, ...) float64 each, N at most `most`."""
  config = run.config.evaluate
  batches = batching.map_batches(
    lambda params, extra, images, key: run.task.negative_elbo(
      params, extra, images, key=key
    ),
    (run.params, run.extra),
    data.spread(images, most),
    key=keys.named(jax.random.key(config.seed), "bound"),
    batch_size=config.batch_size,
  )
  parts = [part for _, part in batches]
  return {
    name: np.concatenate([part[name] for part in parts]).astype(np.float64)
    for name in parts[0]
  }


def sentence(bound: dict[str, Any]) -> str:
  """The bound in words."""
  text = (
    f"-ELBO {bound['negative_elbo']:.1f} +- {bound['standard_error']:.1f} nats "
    f"over {bound['num_images']:,} held-out images"
  )
  if "negative_elbo_at_best_deltas" in bound:
    best = bound["negative_elbo_at_best_deltas"]
    text += f"; {best:.1f} at the best deltas of the training images"
  return f"{text}."
