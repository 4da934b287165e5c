"""What every task offers, and the terms of its loss."""

from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from pseudovideo import data, optimizers, pixels
from pseudovideo.data import pipeline

MAX_LEVELS = 1000
"""Levels of an HVAE."""
MAX_START = 2**30
"""The latest step at which a term of the loss may come in: evaluation takes
terms as they are behind it."""

Params = Any
Extra = Any
Batch = dict[str, jax.Array]


class Term(NamedTuple):
  """One named term of a loss, before any reduction.

  The step reduces it to sum(value * weight) / sum(weight) over the batch, adds
  it to the loss times `coefficient`, and logs it without.

  Attributes:
    value: (B,).
    weight: (B,), for instance 0 where the example says nothing about the term.
    coefficient: scalar; the Python number 0 means: logged, not optimised.
  """

  value: jax.Array
  weight: jax.Array
  coefficient: jax.Array | float = 1.0


Terms = dict[str, Term]


def mean_term(value: jax.Array, coefficient: jax.Array | float = 0) -> Term:
  """A term that is the mean over the batch of (B,) values."""
  return Term(value, jnp.ones_like(value), coefficient)


class Task(Protocol):
  """A system: model, loss and sampler together.

  Implementations are frozen dataclasses whose fields come from the config.

  Attributes:
    image_shape: (H, W, C).
    binarize: how images are made black and white, see `pixels.binarize`.
    value_range: the range of pixels inside the model.
    network_evaluations: calls of the network per sampled image.
  """

  image_shape: tuple[int, int, int]
  binarize: str
  value_range: tuple[float, float]

  @property
  def network_evaluations(self) -> int: ...

  def check(self) -> None:
    """Raises `UserError` for fields that cannot work."""

  def init(self, key: jax.Array, data: Any) -> tuple[Params, Extra]:
    """Parameters, and what is saved with them but not optimised.

    Args:
      key: scalar key.
      data: the `ImageSet` to be trained on.
    """

  def loss(
    self,
    params: Params,
    extra: Extra,
    batch: Batch,
    *,
    key: jax.Array,
    step: jax.Array,
    train: bool,
  ) -> tuple[Terms, Extra]:
    """Terms of the loss of `batch["image"]`, uint8 (B, H, W, C).

    Args:
      params: being optimised.
      extra: the second result of `init`.
      batch: from the data pipeline.
      key: scalar or (B,) keys.
      step: number of updates done, for warm-ups.
      train: whether dropout and the like are on.
    """

  def sample(
    self, params: Params, extra: Extra, *, key: jax.Array, num: int
  ) -> jax.Array:
    """(num, T, H, W, C) videos; sample i depends on key i only.

    An autoencoder has `reconstruct` instead.
    """

  def pseudo_video(
    self, params: Params, extra: Extra, images: jax.Array, *, key: jax.Array
  ) -> jax.Array:
    """What the model is trained on: uint8 (B, H, W, C) -> (B, T, H, W, C)."""


class Autoencoder(Task, Protocol):
  """A task that makes no images of its own: it is scored on held-out ones."""

  def reconstruct(
    self, params: Params, extra: Extra, images: jax.Array, *, key: jax.Array
  ) -> jax.Array:
    """uint8 (B, H, W, C) -> (B, T, H, W, C): encodes and decodes their videos.

    Args:
      params: of the network.
      extra: the second result of `init`.
      images: what the last frame should be.
      key: (B,) keys; reconstruction i depends on image i and key i only.
    """


def is_autoencoder(task: Task) -> bool:
  """Whether it reconstructs images instead of drawing new ones."""
  return hasattr(task, "reconstruct")


class Examples(NamedTuple):
  """What batches are made of, both splits in the order of the images.

  Attributes:
    name: of the array in a batch.
    train: (N, ...).
    test: (M, ...).
  """

  name: str
  train: np.ndarray
  test: np.ndarray


def examples(
  task: Task, extra: Extra, image_set: data.ImageSet, *, batch_size: int
) -> Examples:
  """The images, or what the task's own method `examples` makes of them.

  Args:
    task: learns from them.
    extra: the second result of `init`.
    image_set: the data set.
    batch_size: images at a time, if anything is made of them.
  """
  if hasattr(task, "examples"):
    return task.examples(extra, image_set, batch_size=batch_size)
  return Examples(pipeline.IMAGE, image_set.train_images, image_set.test_images)


def discriminator_optimizer(task: Task) -> optimizers.AdamConfig | None:
  """The optimizer of its discriminator; None where there is none."""
  if not getattr(task, "adversarial", False):
    return None
  return task.discriminator_optimizer


def to_float(task: Task, images: jax.Array, key: jax.Array) -> jax.Array:
  """uint8 images as the task wants them: binarized, in its value range.

  Args:
    task: gives `binarize` and `value_range`.
    images: (B, H, W, C) uint8.
    key: scalar or (B,) keys, for stochastic binarization.
  """
  black_and_white = pixels.binarize(images, task.binarize, key=key)
  return pixels.to_float(black_and_white, task.value_range)
