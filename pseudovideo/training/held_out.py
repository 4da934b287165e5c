"""Held-out losses and pictures of a run, with its averaged weights."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from absl import logging

from pseudovideo import data, errors, keys, pixels
from pseudovideo.config import parsing
from pseudovideo.data import pipeline
from pseudovideo.devices import sharding
from pseudovideo.evaluation import sampling
from pseudovideo.tasks import base
from pseudovideo.training import programs, state, steps

SPLIT = "held_out"
"""The name of held-out losses in the log."""


class HeldOut:
  """Evaluates a state between updates.

  Args:
    config: config of the run.
    task: the task that is trained.
    image_set: the data set.
    examples: the examples that the task learns from.
    functions: the compiled programs.
    mesh: the devices.
  """

  def __init__(
    self,
    config: parsing.Config,
    task: base.Task,
    image_set: data.ImageSet,
    examples: base.Examples,
    functions: programs.Programs,
    mesh: jax.sharding.Mesh,
  ):
    self._train = config.train
    self._task = task
    self._image_set = image_set
    self._examples = examples
    self._functions = functions
    self._cut = sharding.split_batch(mesh)
    self._key = jax.random.key(config.train.seed)

  def losses(
    self, now: state.TrainState, stop: Callable[[], bool] = lambda: False
  ) -> dict[str, float] | None:
    """The mean of every term of the loss over the held-out examples.

    Args:
      now: the state; its averaged weights count.
      stop: asked before each batch; if true, there are no losses.
    """
    key = keys.named(self._key, "evaluate")
    size = self._train.batch_size // self._train.accumulate
    sums: steps.Sums = {}
    before: steps.Metrics = {}
    batches = pipeline.held_out(
      self._examples.test,
      self._image_set.test_labels,
      size,
      self._examples.name,
    )
    for number, batch in enumerate(batches):
      if stop():
        return None
      rows = keys.example_keys(key, size, number * size)
      inputs = sharding.put((batch, rows), self._cut)
      pairs = self._functions.evaluate(now.ema, now.extra, *inputs)
      # One behind, so that the devices are never idle.
      sums = steps.added(sums, jax.device_get(before))
      before = pairs
    return steps.means(steps.added(sums, jax.device_get(before)))

  def pictures(self, now: state.TrainState) -> dict[str, np.ndarray]:
    """A grid of samples, or of reconstructions, and a few whole videos.

    None, with a warning, while the samples are not finite.
    """
    key, num = keys.named(self._key, "grid"), self._train.grid
    inputs: list[Any] = [keys.example_keys(key, num)]
    if base.is_autoencoder(self._task):
      images = data.spread(self._image_set.test_images, num)
      inputs = [keys.example_keys(key, len(images)), images]
    videos = self._functions.sample(now.ema, now.extra, *inputs)
    try:
      return sampling.pictures(pixels.checked(videos))
    except errors.RunError as error:
      logging.warning("There is no grid of samples: %s", error)
      return {}
