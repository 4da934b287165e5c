"""Legal sizes, and fields that are refused."""

import jax
import numpy as np
import pytest

from pseudovideo import errors
from pseudovideo.models.video_vae import geometry, iv_vae
from tests.models.video_vae import nets


def test_groups_are_the_halvings_ahead():
  for temporal, sizes in [
    ((False, True, True), (4, 4, 2, 1)),
    ((False, False, True), (2, 2, 2, 1)),
    ((True, True), (4, 2, 1)),
    ((True, False), (2, 1, 1)),
    ((False, False), (1, 1, 1)),
  ]:
    assert geometry.group_sizes(temporal) == sizes


@pytest.mark.parametrize("factor, first", [(1, True), (2, False), (4, True)])
def test_illegal_frames_name_their_legal_neighbours(factor, first):
  legal = range(int(first) or factor, 40, factor)
  for frames in range(30):
    if frames in legal:
      geometry.check_frames(frames, factor, first)
      continue
    below = [n for n in legal if n < frames][-1:]
    above = [n for n in legal if n > frames][:1]
    use = " or ".join(map(str, below + above))
    with pytest.raises(errors.UserError, match=f"got {frames}: use {use}\\.$"):
      geometry.check_frames(frames, factor, first)


def test_halved_frames_are_those_that_convolutions_leave():
  for frames in range(1, 20):
    clip, kernel = np.ones((1, 1, frames)), np.ones((1, 1, 3))
    for times in range(4):
      assert geometry.halved(frames, times) == clip.shape[-1]
      clip = jax.eval_shape(
        lambda x, k: jax.lax.conv_general_dilated(x, k, (2,), [(1, 1)]),
        clip, kernel,
      )  # fmt: skip


def test_illegal_sides_name_their_legal_neighbours():
  geometry.check_sides(16, 24, 8)
  for sides, words in [
    ((20, 16), "height .* multiple of 8.* got 20: use 16 or 24"),
    ((16, 12), "width .* got 12: use 8 or 16"),
    ((3, 8), r"got 3: use 8\."),
  ]:
    with pytest.raises(errors.UserError, match=words):
      geometry.check_sides(*sides, 8)


def test_latents_have_a_frame_per_group():
  net = iv_vae.IVVAE(latent_channels=16)
  assert net.latent_shape((17, 256, 128)) == (5, 32, 16, 16)
  assert nets.BY_TWO.latent_shape((9, 16, 16)) == (5, 8, 8, 4)
  with pytest.raises(errors.UserError, match="got 8: use 5 or 9"):
    net.latent_shape((8, 64, 64))


@pytest.mark.parametrize(
  "change, words",
  [
    ({"base": 3, "multipliers": (1, 1, 2)}, "model.base must be even"),
    ({"latent_channels": 3}, "must be even, half of them for each branch"),
    ({"temporal": (True,)}, r"one flag fewer .*, 2; got \(True,\)"),
    ({"temporal": (False, False)}, "needs a level that halves time"),
    ({"branches": "image"}, "cannot halve time"),
    ({"image_channels": 3}, "channels of the images, 2; got 3"),
    ({"rates": (1, 3, 6)}, r"below the side of the latents, 4.* use \(1, 3\)"),
    ({"rates": (1, 1)}, r"rates must differ from each other; got \(1, 1\)"),
    ({"temporal": (False, True)}, None),
  ],
)
def test_impossible_fields_are_refused(change, words):
  image = (nets.SIDE, nets.SIDE, 2)
  nets.IV.check(image, 17)
  if words is None:
    nets.IV.clone(**change).check(image, 7)
    return
  with pytest.raises(errors.UserError, match=words):
    nets.IV.clone(**change).check(image, 17)


@pytest.mark.parametrize(
  "image, frames, words",
  [
    ((16, 16, 2), 16, "got 16: use 13 or 17"),
    ((18, 16, 2), 17, "got 18: use 16 or 20"),
  ],
)
def test_clips_of_illegal_sizes_are_refused(image, frames, words):
  with pytest.raises(errors.UserError, match=words):
    nets.IV.check(image, frames)
