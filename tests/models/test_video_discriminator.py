"""The discriminator of clips against a convolution written out."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pseudovideo import errors
from pseudovideo.models import video_discriminator
from tests.models import parameters

TINY = video_discriminator.VideoDiscriminator(width=2, max_width=3, layers=2)


def convolved(x, layer, stride):
  """(B, T, H, W, C), zeros one deep around it, in float64."""
  kernel, bias = (np.float64(layer[name]) for name in ("kernel", "bias"))
  x = np.pad(x, ((0, 0), (1, 1), (1, 1), (1, 1), (0, 0)))
  sizes = [
    (have - taps) // stride + 1
    for have, taps in zip(x.shape[1:4], kernel.shape[:3], strict=True)
  ]
  out = np.zeros((len(x), *sizes, kernel.shape[-1]))
  for place in itertools.product(*map(range, sizes)):
    at = tuple(
      slice(p * stride, p * stride + taps)
      for p, taps in zip(place, kernel.shape[:3], strict=True)
    )
    patch = x[:, *at]
    out[:, *place] = np.einsum("bthwc,thwcd->bd", patch, kernel) + bias
  return out


@pytest.mark.parametrize(
  "shape, patches", [((5, 8, 12, 2), (2, 2, 3)), ((1, 9, 8, 2), (1, 2, 2))]
)
def test_it_computes_what_its_description_says(shape, patches):
  rng = np.random.default_rng(0)
  clips = rng.uniform(-1, 1, (2, *shape)).astype(np.float32)
  params = parameters.drawn(TINY.init, clips[:1, :1])
  logits = np.asarray(jax.jit(TINY.apply)({"params": params}, clips))
  h = np.float64(clips)
  for level, width in enumerate((2, 3)):
    h = convolved(h, params[f"layer_{level}"], 2)
    h = np.where(h > 0, h, 0.2 * h)
    assert h.shape[-1] == width
  expected = convolved(h, params["logits"], 1)[..., 0]
  assert logits.shape == (2, *patches) and logits.dtype == np.float32
  np.testing.assert_allclose(logits, expected, atol=1e-5)
  assert np.ptp(expected) > 0.1


def test_the_default_is_as_wide_as_it_says():
  net = video_discriminator.VideoDiscriminator()
  clip = jnp.zeros((1, 17, 64, 64, 3))
  shapes = jax.eval_shape(net.init, jax.random.key(0), clip)["params"]
  kernels = {name: layer["kernel"].shape for name, layer in shapes.items()}
  assert kernels == {
    "layer_0": (3, 4, 4, 3, 64),
    "layer_1": (3, 4, 4, 64, 128),
    "layer_2": (3, 4, 4, 128, 256),
    "logits": (3, 3, 3, 256, 1),
  }


@pytest.mark.parametrize(
  "fields, said",
  [
    (dict(max_width=1), "got 1 and 2"),
    (dict(layers=4), "at most 3 for images of 15x8 pixels; got 4"),
  ],
)
def test_mistakes_are_refused(fields, said):
  video_discriminator.check(TINY, (15, 8, 1))
  with pytest.raises(errors.UserError, match=said):
    video_discriminator.check(TINY.clone(**fields), (15, 8, 1))
