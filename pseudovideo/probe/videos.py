"""Pseudo videos of both splits, to fit predictors to and to score them on."""

import dataclasses
from typing import Any, NamedTuple

import jax
import numpy as np

from pseudovideo import data, errors, keys
from pseudovideo.config import parsing

BLOCK = 250
"""Number of videos that are made at a time."""

FEWEST_FRAMES = 3


class Videos(NamedTuple):
  """Pseudo videos and the images that they were made of.

  Attributes:
    train: (N, T, H, W, C) float32, of training images.
    test: (N, T, H, W, C) float32, of held-out images.
    test_images: (N,) int, the held-out image of each video in `test`. If there
      are fewer images than videos, images occur again with other noise.
  """

  train: np.ndarray
  test: np.ndarray
  test_images: np.ndarray


@dataclasses.dataclass(frozen=True)
class Source:
  """The pseudo videos of a config.

  Attributes:
    label: name of the augmentation, with fields that are not the default.
    section: the section `augmentation` of the config; of the task `heat_hvae`,
      whose encoder is the corruption, the section `task`.
    task: the task that makes the pseudo videos.
  """

  label: str
  section: dict[str, Any]
  task: Any


def source(config: parsing.Config, image_set: data.ImageSet) -> Source:
  """Reads the pseudo videos off a config.

  Args:
    config: the config that makes the pseudo videos.
    image_set: the images of its data set.

  Raises:
    UserError: the config makes no videos of three frames or more.
  """
  section = "augmentation"
  if config.task == "heat_hvae":
    section = "task"
  elif section not in config.task_fields:
    raise errors.UserError(
      f"A probe needs a config with a section `augmentation`, or the task "
      f"'heat_hvae'; got one of the task {config.task!r}, for which there are "
      "no pseudo videos before training."
    )
  task = config.make_task(image_set.image_shape)
  frames = _frames(task, image_set.image_shape)
  if frames < FEWEST_FRAMES:
    raise errors.UserError(
      f"A probe compares one earlier frame with more, and needs pseudo videos "
      f"of {FEWEST_FRAMES} frames or more; got {frames}; set more frames."
    )
  made_by = task if section == "task" else task.augmentation
  fields = config.raw[section]
  return Source(
    label=_label(fields["name"], made_by, frames),
    section=fields,
    task=task,
  )


def _frames(task: Any, image_shape: tuple[int, int, int]) -> int:
  """T, without making a video."""
  image = jax.ShapeDtypeStruct((1, *image_shape), np.uint8)
  key = jax.random.key(0)
  made = jax.eval_shape(
    lambda x: task.pseudo_video(None, None, x, key=key), image
  )
  return made.shape[1]


def _label(name: str, made_by: Any, frames: int) -> str:
  """A label such as "blur, 8 frames, rate=0.1"."""
  special = [
    f"{field.name}={getattr(made_by, field.name)}"
    for field in dataclasses.fields(made_by)
    if isinstance(field.default, int | float | str | None)
    and field.name not in ("frames", "binarize")
    and getattr(made_by, field.name) != field.default
  ]
  return ", ".join([name, f"{frames} frames", *special])


def make(task: Any, image_set: data.ImageSet, *, num: int, seed: int) -> Videos:
  """Makes `num` videos of each split, of images at even distances.

  Args:
    task: the task that makes the pseudo videos.
    image_set: images to make them of.
    num: number N of videos of each split; may be more than there are images.
    seed: seed of the corruption, 0 or more.
  """
  key = jax.random.key(seed)
  places = np.arange(num) % min(num, len(image_set.test_images))
  return Videos(
    _of(task, image_set.train_images, num, keys.named(key, "train")),
    _of(task, image_set.test_images, num, keys.named(key, "test")),
    places,
  )


def _of(task: Any, images: np.ndarray, num: int, key: jax.Array) -> np.ndarray:
  """(num, T, H, W, C) float32."""
  chosen = data.spread(images, num)

  @jax.jit
  def draw(batch, rows):
    return task.pseudo_video(None, None, batch, key=rows)

  found = []
  size = min(BLOCK, num)
  for start in range(0, num, size):
    rows = keys.example_keys(key, size, start)
    batch = chosen[np.arange(start, start + size) % len(chosen)]
    found.append(np.asarray(draw(batch, rows)))
  return np.concatenate(found)[:num]
