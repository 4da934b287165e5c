import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pseudovideo import errors
from pseudovideo.models import unet
from tests.models import parameters

TINY = unet.UNet(
  channels=8, multipliers=(1, 2), blocks=1, attention=(1,), heads=1, groups=4,
  conditioning="additive", dropout=0.5,
)  # fmt: skip

IHDM = dict(blocks=4, heads=1, conditioning="additive", dropout=0.1)

# Counted in the reference implementations: network, side, channels, parameters.
PUBLISHED = {
  "IHDM small": (
    unet.UNet(64, (1, 1, 1), attention=(2,), **IHDM), 28, 1, 3704129
  ),
  "IHDM CIFAR-10": (
    unet.UNet(128, (1, 2, 2, 2), attention=(2, 3), **IHDM), 32, 3, 61060867
  ),
  "IDDPM 32, learned sigma": (unet.UNet(out_channels=6), 32, 3, 39629062),
  "IDDPM 64": (
    unet.UNet(multipliers=(1, 2, 3, 4), attention=(2, 3)), 64, 3, 92025731
  ),
}  # fmt: skip


@pytest.mark.parametrize(
  "net, side, channels, published",
  PUBLISHED.values(),
  ids=PUBLISHED.keys(),
)
def test_parameter_counts_are_the_published_ones(
  key, net, side, channels, published
):
  unet.check(net, (side, side, channels))
  shapes = jax.eval_shape(
    net.init, key, jnp.zeros((1, side, side, channels)), jnp.zeros((1,))
  )
  assert sum(s.size for s in jax.tree.leaves(shapes)) == published


@pytest.fixture(scope="module")
def params():
  return parameters.drawn(TINY.init, np.zeros((1, 8, 8, 1)), np.zeros(1))


@pytest.fixture(scope="module")
def batch():
  rng = np.random.default_rng(1)
  x = rng.normal(size=(3, 8, 8, 1)).astype(np.float32)
  return x, np.array([1, 5, 18])


@functools.cache
def compiled(net):
  return jax.jit(
    lambda p, x, t, key: net.apply({"params": p}, x, t, dropout_key=key)
  )


def run(net, params, batch, key=None):
  return np.asarray(compiled(net)(params, *batch, key))


def test_an_untrained_network_outputs_zero(key, params, batch):
  """The last layer makes it zero, whatever the others are."""
  head = jax.jit(TINY.init)(key, *batch)["params"]["head"]
  assert not run(TINY, params | {"head": head}, batch).any()


def test_time_space_and_examples_matter_as_they_should(params, batch):
  x, t = batch
  out = run(TINY, params, batch)
  assert np.abs(out).max() > 0.01
  later = run(TINY, params, (x, t + 1))
  assert np.abs(later - out).max() > 1e-4
  # Examples are independent of each other.
  other = run(TINY, params, (x + np.float32([0, 1, 1])[:, None, None, None], t))
  np.testing.assert_allclose(other[0], out[0], atol=1e-6)


def test_dropout_only_with_a_key(params, batch, key):
  out = run(TINY, params, batch)
  np.testing.assert_array_equal(out, run(TINY, params, batch))
  assert np.abs(run(TINY, params, batch, key) - out).max() > 1e-3


def test_bfloat16_is_close_and_keeps_float32_parameters(params, batch):
  low = TINY.clone(dtype="bfloat16")
  out, lower = run(TINY, params, batch), run(low, params, batch)
  assert lower.dtype == np.float32
  difference = np.abs(out - lower).max()
  assert 0 < difference < 0.05 * np.abs(out).max()
  shapes = jax.eval_shape(low.init, jax.random.key(0), batch[0], batch[1])[
    "params"
  ]
  assert {s.dtype for s in jax.tree.leaves(shapes)} == {jnp.dtype("float32")}


@pytest.mark.parametrize(
  "change, words",
  [
    (dict(channels=10), "multiple of model.groups"),
    (dict(multipliers=(1, 1, 1, 1, 1)), "divisible by 16"),
    (dict(heads=3), "model.heads"),
    (dict(attention=(2,)), "levels 0 to 1 of model.multipliers"),
  ],
)
def test_impossible_fields_are_refused(change, words):
  with pytest.raises(errors.UserError, match=words):
    unet.check(TINY.clone(**change), (8, 8, 1))
