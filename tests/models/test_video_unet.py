"""The video U-Net: published sizes, what its masks mean."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pseudovideo.models import unet, video_unet
from tests.models import parameters

TINY = video_unet.VideoUNet(
  channels=8, multipliers=(1,), blocks=1, attention=(0,), heads=2, groups=4,
  dropout=0.5,
)  # fmt: skip
B, T = 2, 3

# Counted in the published code: network, side, parameters.
PUBLISHED = {
  "32": (dict(), 32, 49_065_987),
  "64, base 32": (
    dict(channels=32, multipliers=(1, 2, 3, 4), attention=(2, 3)),
    64,
    7_292_675,
  ),
}


@pytest.mark.parametrize(
  "fields, side, published", PUBLISHED.values(), ids=PUBLISHED.keys()
)
def test_parameter_counts_are_the_published_ones(fields, side, published):
  net = video_unet.VideoUNet(**fields)
  unet.check(net, (side, side, 3))
  shapes = jax.eval_shape(
    lambda key: video_unet.init(net, key, (side, side, 3), 3), jax.random.key(0)
  )
  assert sum(s.size for s in jax.tree.leaves(shapes)) == published


@pytest.fixture(scope="module")
def inputs():
  rng = np.random.default_rng(0)
  x, x0 = rng.normal(size=(2, B, T, 8, 8, 1)).astype(np.float32)
  return (
    x,
    np.float32([3, 700]),
    dict(
      x0=x0,
      observed=np.float32([[1, 0, 0], [1, 1, 0]]),
      latent=np.float32([[0, 1, 0], [0, 0, 1]]),
      frame_indices=np.int32([[0, 1, 2], [2, 3, 4]]),
    ),
  )


@pytest.fixture(scope="module")
def params():
  return parameters.drawn(
    lambda key: {"params": video_unet.init(TINY, key, (8, 8, 1), T)}
  )


@pytest.fixture(scope="module")
def compiled():
  return jax.jit(
    lambda params, x, t, key, **kw: TINY.apply(
      {"params": params}, x, t, dropout_key=key, **kw
    )
  )


@pytest.fixture(scope="module")
def apply(params, compiled):
  return lambda x, t, key=None, **kw: np.asarray(
    compiled(params, x, t, key, **kw)
  )


def test_it_does_not_depend_on_the_number_of_frames(params):
  longer = jax.eval_shape(
    lambda key: video_unet.init(TINY, key, (8, 8, 1), T + 2), jax.random.key(0)
  )
  assert jax.tree.map(jnp.shape, longer) == jax.tree.map(jnp.shape, params)


def test_an_untrained_network_predicts_zero(key, compiled, params, inputs):
  """The last layer makes it zero, whatever the others are."""
  x, t, masks = inputs
  init = jax.jit(lambda key: video_unet.init(TINY, key, (8, 8, 1), T)["head"])
  changed = params | {"head": init(key)}
  assert not np.any(compiled(changed, x, t, None, **masks))


def test_observed_frames_enter_clean_and_others_noisy(apply, inputs):
  x, t, masks = inputs
  before = apply(x, t, **masks)
  seen = np.asarray(masks["observed"])[..., None, None, None] > 0
  noise = np.where(seen, 9.0, x)
  np.testing.assert_array_equal(apply(noise, t, **masks), before)
  hidden = {**masks, "x0": np.where(seen, masks["x0"], 9.0)}
  np.testing.assert_array_equal(apply(x, t, **hidden), before)
  shown = {**masks, "x0": masks["x0"] + seen}
  assert np.abs(apply(x, t, **shown) - before)[1, 2].max() > 1e-3


def test_which_frames_are_observed_is_told_to_the_network(apply, inputs):
  x, t, masks = inputs
  swapped = {**masks, "observed": masks["latent"], "latent": masks["observed"]}
  same = {**swapped, "x0": x}
  reference = {**masks, "x0": x}
  assert np.abs(apply(x, t, **same) - apply(x, t, **reference)).max() > 1e-3


def test_the_order_of_frames_is_only_in_their_indices(apply, inputs):
  x, t, masks = inputs
  back = {name: value[:, ::-1] for name, value in masks.items()}
  np.testing.assert_allclose(
    apply(x[:, ::-1], t, **back)[:, ::-1], apply(x, t, **masks), atol=2e-5
  )
  moved = {**masks, "frame_indices": masks["frame_indices"] + 3}
  np.testing.assert_allclose(
    apply(x, t, **moved), apply(x, t, **masks), atol=2e-5
  )


def test_dropout_belongs_to_the_example(apply, inputs):
  x, t, masks = inputs
  rows = jax.random.split(jax.random.key(3), B)
  both = apply(x, t, rows, **masks)
  alone = {name: np.stack([v[1], v[1]]) for name, v in masks.items()}
  twice = apply(
    np.stack([x[1], x[1]]),
    t[np.array([1, 1])],
    rows,
    **alone,
  )
  np.testing.assert_allclose(twice[1], both[1], atol=2e-5)
  assert np.abs(twice[0] - twice[1]).max() > 1e-3


def test_bfloat16_arithmetic_stays_close(apply, params, inputs):
  x, t, masks = inputs
  half = TINY.clone(dtype="bfloat16")
  ours = jax.jit(half.apply)({"params": params}, x, t, **masks)
  exact = apply(x, t, **masks)
  assert ours.dtype == jnp.float32
  error = np.sqrt(np.mean(np.square(ours - exact)))
  assert 0 < error < 0.05 * np.std(exact)
