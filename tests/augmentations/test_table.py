"""Properties of every augmentation of the table."""

import jax
import numpy as np
import pytest

from pseudovideo import augmentations, keys
from pseudovideo.errors import UserError
from tests import annotations, rounding

NOISE = ("first_order", "high_order", "matched_snr", "matched_information")


def _images(*shape):
  rng = np.random.default_rng(sum(shape))
  return rng.uniform(-1, 1, shape).astype(np.float32)


@pytest.mark.parametrize("name", augmentations.TABLE)
def test_videos_end_with_the_image_and_depend_on_it_alone(name, key):
  """Bit for bit the image; corrupted the more the earlier the frame."""
  augmentation = augmentations.make(name)
  make, images = jax.jit(augmentation), _images(64, 10, 8, 3)
  video = np.asarray(make(images, key=key))
  assert video.shape == (64, augmentation.frames, 10, 8, 3)
  assert video.dtype == np.float32
  np.testing.assert_array_equal(video[:, -1], images)
  errors = np.square(video - images[:, None]).mean((0, 2, 3, 4))
  assert np.all(np.diff(errors) < 0)
  other = np.asarray(make(images, key=keys.named(key, "other")))
  assert (other == video).all() == (name not in NOISE)
  # Of the last two alone, with their own keys. Frames are sums of fewer than
  # 64 products, of numbers below 5.
  rows = keys.example_keys(key, 64)[62:]
  part = make(images[62:], key=rows)
  np.testing.assert_allclose(part, video[62:], atol=rounding.bound(64, 5.0))


def test_names_and_fields():
  assert augmentations.make("blur", frames=18).frames == 18
  with pytest.raises(UserError, match=r"(?s)'first_order'.*matched_snr"):
    augmentations.make("firstorder")
  with pytest.raises(UserError, match=r"(?s)did you mean 'frames'.*beta_max"):
    augmentations.make("high_order", frame=4)


@pytest.mark.parametrize(
  ("name", "fields", "sentence"),
  [
    ("first_order", {"frames": 1}, "'identity'"),
    ("heat", {"frames": 8.0}, "integer"),
    ("high_order", {"beta_min": 0.1}, r"augmentation\.beta_min must not be"),
    ("heat", {"sigma_max": float("inf")}, "finite"),
    ("heat", {"sigma_max": 0.1}, "sigma_min must not be above"),
    ("heat", {"sigma_min": "0.5"}, "number above 0"),
    ("blur", {"rate": "fast"}, "number"),
    ("blur", {"rate": 0.6}, r"augmentation\.rate=0\.6 .* paper's rates"),
    ("blur", {"padding": "reflekt"}, "did you mean 'reflect'"),
    ("blur", {"frames": 1001, "rate": 0.0}, r"from 1 to 1000; got 1001"),
    ("identity", {"frames": 0}, r"augmentation\.frames must be"),
  ],
)
def test_a_wrong_value_is_one_sentence(name, fields, sentence):
  with pytest.raises(UserError, match=sentence):
    augmentations.make(name, **fields)


@pytest.mark.parametrize("name", augmentations.TABLE)
def test_fields_are_checked_without_a_config_too(name):
  with pytest.raises(UserError, match=r"augmentation\.frames must be .*1000"):
    augmentations.TABLE[name](frames=1001)


@pytest.mark.parametrize("name", augmentations.TABLE)
@pytest.mark.parametrize("kind", [np.uint8, np.int32, np.float16, bool])
@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit], ids=["", "jit"])
def test_images_are_floats(name, kind, wrap, key):
  frames = {} if name == "identity" else {"frames": 3}
  augmentation = augmentations.make(name, **frames)
  with (
    annotations.unchecked(),
    pytest.raises(ValueError, match=r"pixels\.to_float"),
  ):
    wrap(augmentation)(np.zeros((1, 8, 8, 1), kind), key=key)


def test_clips_are_left_as_they_are(key):
  clips = _images(3, 4, 8, 8, 1)
  augmentation = augmentations.make("identity", frames=4)
  video = jax.jit(augmentation)(clips, key=key)
  np.testing.assert_array_equal(video, clips)
  for other in (clips[:, :3], clips[:, 0]):
    with pytest.raises(UserError, match=r"was given examples of [13] frames;"):
      augmentation(other, key=key)
