"""How often each stage of a sampler is trained."""

import dataclasses

import jax
import numpy as np
import pytest

from pseudovideo import augmentations, errors
from pseudovideo.diffusion import process as processes
from pseudovideo.models import video_unet
from pseudovideo.samplers import settings
from pseudovideo.tasks import video_diffusion

TASK = video_diffusion.VideoDiffusion(
  image_shape=(2, 2, 1),
  model=video_unet.VideoUNet(
    channels=4, multipliers=(1,), blocks=1, attention=(), heads=1, groups=4
  ),
  augmentation=augmentations.make("high_order", frames=4),
  process=processes.Process(steps=1000),
  sampler=settings.Sampler(),
  context=2,
)


def weighted(words, **fields):
  return dataclasses.replace(TASK, stage_weights=words, **fields)


@pytest.mark.parametrize(
  ("words", "expected"),
  [
    ("uniform", [1 / 3, 1 / 3, 1 / 3]),
    # 42 and 1 of the chain's 1,000 steps are left after the stages before.
    ("steps", [0.958, 0.041, 0.001]),
    ("20/1/3", [20 / 24, 1 / 24, 3 / 24]),
    ("0/1/0", [0, 1, 0]),
  ],
)
def test_stages_are_drawn_as_often_as_said(words, expected, key):
  task, num = weighted(words), 20_000
  task.check()
  found = task.stage_probabilities()
  np.testing.assert_allclose(found, expected, atol=1e-12)
  draw = jax.jit(task._training_window, static_argnums=1)
  index, observed, _ = map(np.asarray, draw(key, num))
  stage = np.where(observed.any(1), index[:, 2] - 1, 0)
  drawn = np.bincount(stage, minlength=3) / num
  spread = np.sqrt(found * (1 - found) / num)
  assert np.all(np.abs(drawn - found) <= 5 * spread)


def test_every_stage_is_trained_though_it_may_stand_for_no_step():
  task = weighted("steps", process=processes.Process(steps=20))
  assert task.stage_probabilities().min() > 0


@pytest.mark.parametrize(
  ("words", "fields"),
  [
    *((words, {}) for words in ("1/1", "1/1/1/1", "-1/1/1", "0/0/0")),
    *((words, {}) for words in ("nan/1/1", "inf/1/1", "", "evenly", "1/1/")),
    ("steps", dict(augmentation=augmentations.make("blur", frames=4))),
    ("1/1/1", dict(training_windows="random")),
  ],
)
def test_other_words_are_refused(words, fields):
  with pytest.raises(errors.UserError, match=r"task\.stage_weights"):
    weighted(words, **fields).check()
