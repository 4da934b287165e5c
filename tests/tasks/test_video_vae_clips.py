"""Video VAEs of clips: what the loss and reconstructions are of."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pseudovideo import augmentations, errors, keys
from tests.tasks import small_vaes as small

NUM = 8
# Of 8 examples a quarter are single images.
ALONE = [3, 7]
TASK = small.changed(
  augmentation=augmentations.make("identity", frames=3),
  order="forward",
  adversarial=False,
)
ROWS = keys.example_keys(jax.random.key(1), NUM)


@pytest.fixture(scope="module")
def params():
  return small.fresh(TASK)[0]


@pytest.fixture(scope="module")
def clips():
  rng = np.random.default_rng(0)
  return rng.integers(0, 256, (NUM, 3, 8, 8, 1), np.uint8)


@pytest.fixture(scope="module")
def loss(params):
  """Of clips: terms of training, with drawn latents."""

  def terms(clips):
    batch = {"image": clips}
    return TASK.loss(params, {}, batch, key=ROWS, step=0, train=True)[0]

  compiled = jax.jit(terms)
  return lambda clips: jax.device_get(compiled(clips))


def test_the_loss_is_of_the_clips_in_their_order(params, clips):
  """Frame 0 is encoded first; evaluation takes means of latents."""
  x = np.float64(clips) / 127.5 - 1

  @jax.jit
  def both(clips):
    variables = {"params": params["network"]}
    video = jnp.asarray(clips, jnp.float32) / 127.5 - 1
    means, _ = TASK.model.apply(variables, video, method="encode")
    made = TASK.model.apply(variables, means, method="decode")
    batch = {"image": clips}
    terms, _ = TASK.loss(params, {}, batch, key=ROWS, step=0, train=False)
    back = TASK.reconstruct(params, {}, clips, key=ROWS)
    return made, terms, back

  made, terms, back = jax.device_get(both(clips))
  made = np.float64(made)
  error = np.abs(made - x)
  assert np.abs(made - x[:, ::-1]).mean() != pytest.approx(error.mean())
  np.testing.assert_allclose(
    terms["absolute_error"].value, error.mean((1, 2, 3, 4)), rtol=1e-4
  )
  np.testing.assert_allclose(
    terms["last_frame_error"].value, error[:, -1].mean((1, 2, 3)), rtol=1e-4
  )
  np.testing.assert_allclose(back, made.clip(-1, 1), atol=1e-5)


def test_clips_are_shown_as_they_are(params, clips):
  video = TASK.pseudo_video(params, {}, clips, key=ROWS)
  np.testing.assert_allclose(video, np.float64(clips) / 127.5 - 1, atol=1e-6)


def test_single_images_are_last_frames(loss, clips):
  first, last = clips.copy(), clips.copy()
  first[:, :-1] = 255 - first[:, :-1]
  last[:, -1] = 255 - last[:, -1]
  terms, of_first, of_last = map(loss, (clips, first, last))
  num = len(ALONE)
  alone = terms["image_error"].value
  assert alone.shape == (num,)
  np.testing.assert_array_equal(terms["absolute_error"].value[-num:], alone)
  np.testing.assert_array_equal(of_first["image_error"].value, alone)
  assert np.abs(of_last["image_error"].value - alone).min() > 1e-3
  gap = of_first["absolute_error"].value - terms["absolute_error"].value
  assert np.abs(gap[:-num]).min() > 1e-4, "clips have all their frames"


@pytest.mark.parametrize("order", ["reversed", "backward"])
def test_clips_are_encoded_forward_only(order):
  with pytest.raises(errors.UserError, match=r"back to the first|no task.or"):
    small.changed(TASK, order=order).check()
  image = augmentations.make("identity", frames=1)
  small.changed(small.IMAGES, augmentation=image, order="reversed").check()
