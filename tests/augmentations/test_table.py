"""What holds for every augmentation of the table."""

import jax
import numpy as np
import pytest

from pseudovideo import augmentations
from pseudovideo.errors import UserError

NOISE = ("first_order", "high_order", "matched_snr")


def _images(*shape):
  rng = np.random.default_rng(sum(shape))
  return rng.uniform(-1, 1, shape).astype(np.float32)


@pytest.mark.parametrize("name", augmentations.TABLE)
def test_last_frame_is_the_image_bit_for_bit(name, key):
  augmentation = augmentations.make(name)
  images = _images(3, 10, 8, 3)
  video = jax.jit(augmentation)(images, key=key)
  assert video.shape == (3, augmentation.frames, 10, 8, 3)
  assert video.dtype == np.float32
  np.testing.assert_array_equal(video[:, -1], images)


@pytest.mark.parametrize(
  "name", [n for n in augmentations.TABLE if n != "identity"]
)
def test_frames_are_more_corrupted_the_earlier(name, key):
  images = _images(64, 8, 8, 1)
  video = augmentations.make(name, frames=4)(images, key=key)
  errors = np.square(video - images[:, None]).mean((0, 2, 3, 4))
  assert np.all(np.diff(errors) < 0)


@pytest.mark.parametrize("name", augmentations.TABLE)
def test_an_example_does_not_depend_on_its_batch(name, key):
  augmentation = augmentations.make(name)
  images = _images(5, 8, 8, 3)
  whole = jax.jit(augmentation)(images, key=key)
  part = jax.jit(augmentation)(images[:2], key=key)
  if name in NOISE:
    np.testing.assert_array_equal(part, whole[:2])
  else:  # A matrix product may sum in another order.
    np.testing.assert_allclose(part, whole[:2], atol=1e-6)


@pytest.mark.parametrize(
  "name", [n for n in augmentations.TABLE if n not in NOISE]
)
def test_deterministic_ones_ignore_the_key(name, key):
  augmentation = augmentations.make(name)
  images = _images(2, 8, 8, 1)
  np.testing.assert_array_equal(
    augmentation(images), augmentation(images, key=key)
  )


def test_names_and_fields():
  assert augmentations.make("blur", frames=18).frames == 18
  with pytest.raises(UserError, match=r"(?s)'first_order'.*matched_snr"):
    augmentations.make("firstorder")
  with pytest.raises(UserError, match=r"(?s)did you mean 'frames'.*beta_max"):
    augmentations.make("high_order", frame=4)


@pytest.mark.parametrize(
  ("name", "fields", "sentence"),
  [
    ("identity", {"frames": 0}, "frames=1 for images, or as many"),
    ("first_order", {"frames": 1}, "'identity'"),
    ("heat", {"frames": 8.0}, "integer"),
    ("high_order", {"beta_min": 0.1}, "beta_min not above beta_max"),
    ("matched_snr", {"beta_min": 0.0}, "positive"),
    ("first_order", {"beta_max": 1.0}, "below 1"),
    ("heat", {"sigma_max": float("inf")}, "finite"),
    ("heat", {"sigma_min": "0.5"}, "positive numbers"),
    ("blur", {"padding": "zero"}, "Choose one of: circular, reflect"),
    ("blur", {"rate": "fast"}, "number"),
    ("high_order_blur", {"rate": -0.1}, "between 1 and 20"),
    ("blur", {"frames": 1001, "rate": 0.0}, "frames must be at most 1000; got"),
    ("identity", {"frames": 10**9}, "frames must be at most 1000; got 1000000"),
  ],
)
def test_a_wrong_value_is_one_sentence(name, fields, sentence):
  with pytest.raises(UserError, match=sentence):
    augmentations.make(name, **fields)


def test_images_are_floats():
  with pytest.raises(ValueError, match=r"pixels\.to_float"):
    augmentations.make("identity")(np.zeros((1, 8, 8, 1), np.uint8))


def test_clips_are_left_as_they_are(key):
  clips = _images(3, 4, 8, 8, 1)
  augmentation = augmentations.make("identity", frames=4)
  video = jax.jit(augmentation)(clips, key=key)
  np.testing.assert_array_equal(video, clips)
  for other in (clips[:, :3], clips[:, 0]):
    with pytest.raises(UserError, match=r"was given examples of [13];"):
      augmentation(other, key=key)
