"""A video VAE from an image VAE keeps what that reconstructs."""

import functools

import numpy as np
import pytest

from pseudovideo import errors
from pseudovideo.models.video_vae import initialisation
from tests.models.video_vae import nets

# Network, image VAE, taps, and the frame of a group that its other frames show.
CASES = [
  ("iv", "image", None, 2),
  ("iv", "image", (1, 0), 1),
  ("iv", "image", (1, 1), 3),
  ("by two", "shallow image", None, 1),
  ("by two", "shallow image", (0,), 0),
  ("motion twice", "shallow image", None, 1),
  ("baseline", "shallow image", None, 0),
  ("one branch", "shallow image", None, 0),
]


@functools.cache
def reconstructed(name):
  """Latents of 9 images in each of two clips, and what is made of them."""
  params = nets.params(name)
  latents, _ = nets.encode(name)(params, nets.clip(9), None)
  frames, _ = nets.decode(name)(params, latents[0], None)
  return latents, np.asarray(frames)


@pytest.mark.parametrize("name, image, taps, shown", CASES)
def test_frames_are_reconstructed_as_images(name, image, taps, shown):
  net = nets.NETS[name]
  params = initialisation.inflate(nets.params(image), net, taps)
  latents, _ = nets.encode(name)(params, nets.clip(9), None)
  frames, _ = nets.decode(name)(params, latents[0], None)
  of_images, expected = reconstructed(image)
  factor = 2 ** sum(net.temporal)
  firsts = [0, *range(1, 9, factor)]
  others = [0, *range(1 + shown, 9, factor)]
  # Half of the latents is the key branch's, or all are the only branch's.
  two = net.branches != "motion"
  for ours, theirs in zip(latents, of_images, strict=True):
    parts = [theirs[:, times] for times in [firsts, others][1 - two :]]
    assert nets.relative_error(ours, np.concatenate(parts, -1)) < nets.CLOSE
  carried = [0]
  for first, other in zip(firsts[1:], others[1:], strict=True):
    carried += [first if two else other] + [other] * (factor - 1)
  assert nets.relative_error(frames, expected[:, carried]) < nets.CLOSE


def test_image_vae_has_the_latents_of_one_branch():
  assert initialisation.image_vae(nets.IV) == nets.IV.clone(
    branches="image", latent_channels=2, temporal=(False, False)
  )
  assert initialisation.image_vae(nets.BASELINE).latent_channels == 2


def test_wrong_taps_are_refused():
  for taps in [(0,), (0, 2), (0, 1, 1)]:
    with pytest.raises(errors.UserError, match="must be 2 numbers 0 or 1"):
      initialisation.inflate(nets.params("image"), nets.IV, taps)


def test_another_image_vae_is_refused():
  with pytest.raises(errors.UserError, match="decoder/level_2_0_attention"):
    initialisation.inflate(nets.params("lean image"), nets.IV)
