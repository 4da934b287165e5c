"""Shifted images have shifted latents, and shifted latents shifted images.

Without attention, latents whose whole receptive field lies in the picture know
nothing of where it ends. Two crops of one picture then agree where both see
the same pixels.
"""

import functools
from typing import NamedTuple

import jax
import numpy as np
import pytest

from pseudovideo.models.video_vae import initialisation
from tests.models.video_vae import nets

IMAGE = initialisation.image_vae(nets.IV)
TRUNK = IMAGE.clone(attention=())
FACTOR = 4
SIDE = 128
PLACES = SIDE // FACTOR


class Layer(NamedTuple):
  """One axis of a convolution; so many zeros stand before."""

  kernel: int
  before: int = 0
  stride: int = 1
  dilation: int = 1


CONV = Layer(3, before=1)
DOWN = Layer(3, stride=2)
DILATED = Layer(3, before=3, dilation=3)
# The longest path: stem, a block and half the sides, twice; a block, the two in
# the middle, the head's largest dilation.
ENCODER = [CONV] * 3 + [DOWN] + [CONV] * 2 + [DOWN] + [CONV] * 6 + [DILATED]
# The decoder from its end to its beginning: which frames' pixels a latent
# reaches. A pixel that is repeated reaches two.
REPEAT = Layer(2, stride=2)
DECODER = [CONV] * 6 + [REPEAT] + [CONV] * 5 + [REPEAT] + [CONV] * 9


def seen(layers, place):
  """First and last place that output `place` depends on."""
  first = last = place
  for layer in reversed(layers):
    first = first * layer.stride - layer.before
    last = last * layer.stride - layer.before
    last += layer.dilation * (layer.kernel - 1)
  return first, last


def inner_latents():
  """Places of latents that see no pixel outside the picture."""
  spans = [seen(ENCODER, place) for place in range(PLACES)]
  inside = [a >= 0 and b < SIDE for a, b in spans]
  return slice(inside.index(True), PLACES - inside[::-1].index(True))


def inner_pixels():
  """Places of pixels that no latent outside the picture would reach."""
  _, left = seen(DECODER, -1)
  right, _ = seen(DECODER, PLACES)
  return slice(left + 1, right)


@functools.cache
def method(net, name):
  run = functools.partial(net.apply, method=name)
  return jax.jit(lambda params, x: run({"params": params}, x))


def encode(image, net=TRUNK):
  means, log_variances = method(net, "encode")(nets.params("image"), image)
  assert means.shape[2:4] == (PLACES, PLACES)
  return np.concatenate([means, log_variances], axis=-1)


def decode(latents):
  return np.asarray(method(TRUNK, "decode")(nets.params("image"), latents))


def moved(x, down, right, size):
  """The crop of (B, T, H, W, C) that begins so far down and right."""
  return x[:, :, down : down + size, right : right + size]


@pytest.fixture(scope="module")
def picture():
  rng = np.random.default_rng(3)
  return rng.uniform(-1, 1, (1, 1, 160, 160, 2)).astype(np.float32)


@pytest.fixture(scope="module")
def latents():
  rng = np.random.default_rng(4)
  return rng.normal(size=(1, 1, 40, 40, 2)).astype(np.float32)


@pytest.mark.parametrize("down, right", [(1, 0), (3, 5)])
def test_latents_move_with_the_image(picture, down, right):
  inner = inner_latents()
  size = inner.stop - inner.start
  assert size > 5, "too few places to see anything"
  before = encode(moved(picture, 0, 0, SIDE))
  after = encode(moved(picture, FACTOR * down, FACTOR * right, SIDE))
  rows = slice(inner.start + down, inner.stop)
  columns = slice(inner.start + right, inner.stop)
  expected = before[:, :, rows, columns]
  found = after[:, :, inner, inner][:, :, : size - down, : size - right]
  assert nets.relative_error(found, expected) < nets.CLOSE
  # At the edge, zeros stand for pixels that the other crop has.
  edge = after[:, :, : PLACES - down, : PLACES - right]
  assert np.abs(edge - before[:, :, down:, right:])[:, :, 0].max() > 1e-2


@pytest.mark.parametrize("pixels", [1, 2])
def test_latents_do_not_move_by_parts_of_themselves(picture, pixels):
  inner = inner_latents()
  before = encode(moved(picture, 0, 0, SIDE))
  after = encode(moved(picture, pixels, 0, SIDE))[:, :, inner, inner]
  for down in range(2):
    rows = slice(inner.start, inner.stop - down)
    later = slice(inner.start + down, inner.stop)
    there = after[:, :, : rows.stop - rows.start]
    assert np.abs(there - before[:, :, later, inner]).max() > 0.1


def test_attention_sees_where_the_image_ends(picture):
  inner = inner_latents()
  later = slice(inner.start + 1, inner.stop)
  before = encode(moved(picture, 0, 0, SIDE), IMAGE)[:, :, later, inner]
  after = encode(moved(picture, FACTOR, 0, SIDE), IMAGE)[:, :, inner, inner]
  assert np.abs(after[:, :, :-1] - before).max() > 1e-3


@pytest.mark.parametrize("down, right", [(1, 0), (2, 3)])
def test_frames_move_with_the_latents(latents, down, right):
  inner = inner_pixels()
  before = decode(moved(latents, 0, 0, PLACES))
  after = decode(moved(latents, down, right, PLACES))
  assert before.shape[2:4] == (SIDE, SIDE)
  height, width = (
    inner.stop - inner.start - FACTOR * shift for shift in (down, right)
  )
  assert min(height, width) > 0, "no pixel to compare"
  found = moved(after, inner.start, inner.start, SIDE)[:, :, :height, :width]
  expected = moved(
    before, inner.start + FACTOR * down, inner.start + FACTOR * right, SIDE
  )[:, :, :height, :width]
  assert nets.relative_error(found, expected) < nets.CLOSE
  # A pixel less than the factor is another place in the pattern of repetition.
  other = moved(before, inner.start + 1, inner.start, SIDE)
  assert np.abs(found - other[:, :, :height, :width]).max() > 0.1
  # And zeros at the edge are no latents.
  edges = after[:, :, 0, : SIDE - FACTOR * right]
  there = before[:, :, FACTOR * down, FACTOR * right :]
  assert np.abs(edges - there).max() > 1e-2
