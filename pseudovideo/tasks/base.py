"""The interface of tasks, and the terms of their losses."""

from typing import (
  Annotated,
  Any,
  ClassVar,
  Literal,
  NamedTuple,
  Protocol,
)

import jax
import jax.numpy as jnp
import numpy as np
from annotated_types import Ge, Le

from pseudovideo import errors, optimizers, pixels

IMAGE = "image"
"""The name of images in a batch."""
Levels = Annotated[int, Ge(2), Le(1000)]
"""Levels of an HVAE."""
Likelihood = Literal["gaussian", "bernoulli"]
"""The kind of p(image | level 1) of an HVAE."""
Updates = Annotated[int, Ge(0), Le(2**30)]
"""Updates before a term of the loss counts. Evaluation takes terms as they are
after the largest number that can be given."""

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


class Defaults:
  """The defaults of what a task may declare besides; base class of our tasks.

  A task without this base may declare some of them or none, see `declared`.

  Attributes:
    abilities: names out of `ABILITIES`, for what the task can do besides.
    channels_field: the field of its network that holds the channels of images.
    derived: fields of its network that no config sets.
    needs: names of what `init` is given from other runs, see
      `first_stages.given`.
    adversarial: whether it has a `discriminator_optimizer`.
  """

  abilities: ClassVar[tuple[str, ...]] = ()
  channels_field: ClassVar[str | None] = None
  derived: ClassVar[tuple[str, ...]] = ()

  @property
  def needs(self) -> tuple[str, ...]:
    return ()

  @property
  def adversarial(self) -> bool:
    return False


def declared(task: Any, name: str) -> Any:
  """`task.NAME` of a task or its class; by default `Defaults.NAME`."""
  return getattr(task, name, getattr(Defaults(), name))


class Task(Protocol):
  """A system: model, loss and sampler together.

  Implementations are frozen dataclasses whose fields come from the config. What
  they may declare besides is in `Defaults`.

  Attributes:
    image_shape: (H, W, C).
    binarize: how images are made black and white, see `pixels.binarize`.
    value_range: the range of pixels inside the model.
    network_evaluations: calls of the network per sampled image.
  """

  @property
  def image_shape(self) -> tuple[int, int, int]: ...

  @property
  def binarize(self) -> str: ...

  @property
  def value_range(self) -> tuple[float, float]: ...

  @property
  def network_evaluations(self) -> int: ...

  def check(self) -> None:
    """Raises `UserError` for fields that cannot work."""

  def init(self, *key_and_data: Any, **given: Any) -> tuple[Params, Extra]:
    """Makes the parameters, and what is saved with them but not optimised.

    Args:
      *key_and_data: a scalar key, and the `ImageSet` to be trained on.
      **given: arrays from other runs, where the task names them in `needs`.
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
      params: parameters that are optimised.
      extra: the second result of `init`.
      batch: a batch of the data pipeline.
      key: scalar or (B,) keys.
      step: number of updates done, for warm-ups.
      train: whether dropout and the like are on.
    """

  def pseudo_video(
    self, params: Params, extra: Extra, images: jax.Array, *, key: jax.Array
  ) -> jax.Array:
    """Pseudo videos to train on: uint8 (B, H, W, C) -> (B, T, H, W, C)."""


def make_extra(
  *, state: Extra | None = None, frozen: Extra | None = None
) -> Extra:
  """Makes what a task keeps besides its parameters; leaves out empty parts.

  Args:
    state: the part that updates change, such as a codebook of averages.
    frozen: the part that never changes, such as a first stage's weights.
  """
  parts = {"state": state, "frozen": frozen}
  return {name: part for name, part in parts.items() if part}


def state_of(extra: Extra) -> Extra:
  """The part of `extra` that updates change."""
  return extra.get("state", {})


def with_state(extra: Extra, **changed: Any) -> Extra:
  """`extra` with some entries of its state exchanged."""
  return extra | {"state": state_of(extra) | changed}


class Generator(Task, Protocol):
  """A task that draws images of its own."""

  def sample(
    self, params: Params, extra: Extra, *, key: jax.Array, num: int
  ) -> jax.Array:
    """Draws (num, T, H, W, C) videos; sample i depends on key i only."""


class Autoencoder(Task, Protocol):
  """A task that makes no images of its own: it is scored on held-out ones."""

  def reconstruct(
    self, params: Params, extra: Extra, images: jax.Array, *, key: jax.Array
  ) -> jax.Array:
    """Encodes and decodes the images' videos, (B, T, H, W, C).

    Args:
      params: parameters of the network.
      extra: the second result of `init`.
      images: uint8 (B, H, W, C), the images that the last frames should be.
      key: (B,) keys; reconstruction i depends on image i and key i only.
    """


ABILITIES = {
  "reconstruct": "reconstructs images instead of drawing new ones",
  "negative_elbo": "has a variational bound, level by level",
  "best_deltas": "knows the widths of its levels that minimise the bound",
  "bits_per_dim": "bounds -log2 p(image) of 8-bit images",
  "log_likelihood": "knows log p of every token exactly",
  "encode": "makes tokens of images",
  "posterior": "makes latents of videos",
  "clips": "learns from clips of videos too",
  "examples": "learns from something else than the images",
}
"""What a task may name in `abilities`, each the name of its method,
except `clips`."""


def can(task: Task | type[Task], ability: str) -> bool:
  """True if a task names an ability, one of `ABILITIES`.

  A task that names none draws samples, by its method `sample`.
  """
  return ability in declared(task, "abilities")


def check_abilities(task: Task) -> None:
  """Refuses a task that names an ability that it lacks, or can do nothing.

  Raises:
    UserError: an unknown ability, or one without its method; or there is
      neither `sample` nor the ability `reconstruct`.
  """
  name = type(task).__name__
  named = declared(task, "abilities")
  if isinstance(named, str):
    raise errors.UserError(
      f"{name}.abilities must be a tuple of names; got {named!r}."
    )
  for ability in named:
    errors.look_up(f"ability of {name}", ability, ABILITIES)
    if ability != "clips" and not _has_method(task, ability):
      raise errors.UserError(
        f"The task {name} names the ability {ability!r} and has no method of "
        "that name; write it, or leave the ability out."
      )
  if not is_autoencoder(task) and not _has_method(task, "sample"):
    raise errors.UserError(
      f"The task {name} has no method 'sample'; write it, or name the ability "
      "'reconstruct'."
    )


def _has_method(task: Task, name: str) -> bool:
  return callable(getattr(task, name, None))


def needs(task: Task) -> tuple[str, ...]:
  """Names of what `init` is given from other runs, see `first_stages.given`."""
  return declared(task, "needs")


def channels_field(task: type[Task]) -> str | None:
  """The field of a task's network that holds the channels of images, if any."""
  return declared(task, "channels_field")


def is_autoencoder(task: Task) -> bool:
  """True if a task reconstructs images instead of drawing new ones."""
  return can(task, "reconstruct")


def check_likelihood(likelihood: str, binarize: str) -> None:
  """Refuses a Bernoulli of images that are not black and white.

  Raises:
    UserError: says which field to change.
  """
  if likelihood == "bernoulli" and binarize == "none":
    raise errors.UserError(
      "task.reconstruction_likelihood 'bernoulli' needs black-and-white "
      "images, but data.binarize is 'none'; set it to 'bernoulli' or "
      "'threshold'."
    )


class Examples(NamedTuple):
  """The examples of batches, both splits in the order of the images.

  Attributes:
    name: name of the array in a batch.
    train: (N, ...).
    test: (M, ...).
  """

  name: str
  train: np.ndarray
  test: np.ndarray


def discriminator_optimizer(task: Any) -> optimizers.AdamConfig | None:
  """The optimizer of a task's discriminator; None where there is none."""
  if not declared(task, "adversarial"):
    return None
  return task.discriminator_optimizer


def to_float(task: Task, images: jax.Array, key: jax.Array) -> jax.Array:
  """uint8 images as the task wants them: binarized, in its value range.

  Args:
    task: gives `binarize` and `value_range`.
    images: (B, H, W, C) uint8.
    key: scalar or (B,) keys, for stochastic binarization.
  """
  if task.binarize != "none":
    images = pixels.binarize(images, task.binarize, key=key)
  return pixels.to_float(images, task.value_range)
