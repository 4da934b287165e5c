import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pseudovideo import errors
from pseudovideo.models import discriminator
from tests.models import discriminator_reference as reference
from tests.models import parameters

# Three blocks, the second and third as wide as allowed, attention on 8x8.
TINY = discriminator.Discriminator(width=4, max_width=6, heads=2, head_width=3)
SHAPE = (16, 16, 2)


# Counted in the public Phenaki implementation.
def test_parameter_counts_are_the_published_ones(key):
  for side, published in [(32, 7833601), (64, 14127361)]:
    net = discriminator.Discriminator()
    discriminator.check(net, (side, side, 3))
    shapes = jax.eval_shape(net.init, key, jnp.zeros((1, side, side, 3)))
    assert sum(s.size for s in jax.tree.leaves(shapes)) == published


@pytest.fixture(scope="module")
def params():
  return parameters.drawn(TINY.init, np.zeros((1, *SHAPE)))


@pytest.fixture(scope="module")
def images():
  rng = np.random.default_rng(1)
  return np.float32(rng.uniform(size=(3, *SHAPE)))


@pytest.fixture(scope="module")
def logits(params, images):
  return run(TINY, params, images)


@functools.cache
def compiled(net):
  return jax.jit(net.apply)


def run(net, params, images):
  return np.asarray(compiled(net)({"params": params}, images))


def in_numpy(params, images, side=16):
  params = jax.tree.map(np.float64, params)
  return reference.logits(
    params, np.float64(images), attention_side=side, heads=TINY.heads
  )


def test_it_computes_what_its_description_says(params, images, logits):
  expected = in_numpy(params, images)
  assert logits.shape == (3,) and logits.dtype == np.float32
  # The images are told apart, and attention is seen.
  assert np.ptp(expected) > 0.1
  assert np.abs(expected - in_numpy(params, images, side=0)).max() > 0.1
  np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5)


def test_a_logit_belongs_to_one_image(params, images, logits):
  others = images.copy()
  others[1:] = 1 - others[1:]
  changed = run(TINY, params, others)
  np.testing.assert_allclose(changed[0], logits[0], atol=1e-6)
  assert (np.abs(changed[1:] - logits[1:]) > 1e-3).all()


def test_small_images_without_attention(key):
  net = TINY.clone(attention=0)
  shape = (8, 8, 1)
  for chosen in (net, TINY):
    discriminator.check(chosen, shape)
  x = np.asarray(jax.random.uniform(key, (2, *shape)))
  params = parameters.drawn(net.init, x)
  assert "attention" not in params
  expected = in_numpy(params, x, side=0)
  np.testing.assert_allclose(run(net, params, x), expected, atol=1e-5)


def test_bfloat16_is_close_and_keeps_float32_parameters(
  key, params, images, logits
):
  low = TINY.clone(dtype="bfloat16")
  lower = run(low, params, images)
  assert lower.dtype == np.float32
  assert 0 < np.abs(lower - logits).max() < 0.05 * np.abs(logits).max()
  shapes = jax.eval_shape(low.init, key, images)
  assert {s.dtype for s in jax.tree.leaves(shapes)} == {jnp.dtype("float32")}


def test_other_sides_are_refused():
  for shape in [(28, 28, 1), (32, 64, 3), (4, 4, 1)]:
    words = f"sides must be 8, 16, .*got images of {shape[0]}x{shape[1]}"
    with pytest.raises(errors.UserError, match=words):
      discriminator.check(TINY, shape)


@pytest.mark.parametrize(
  "change, words",
  [
    (dict(width=8), "discriminator.max_width"),
    (dict(attention=12), "discriminator.attention"),
    (dict(attention=2), "discriminator.attention"),
  ],
)
def test_impossible_fields_are_refused(change, words):
  with pytest.raises(errors.UserError, match=words):
    discriminator.check(TINY.clone(**change), SHAPE)
