"""Bits per dimension against a loop in numpy with the same noise."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pseudovideo import keys
from pseudovideo.diffusion import bound
from pseudovideo.diffusion.chain import Chain
from pseudovideo.diffusion.likelihood import bits_per_dim
from pseudovideo.diffusion.process import Process
from tests import rounding

PROCESS = Process(variance="learned", steps=40)


def predict(x, time):
  """Neither good nor bad, of x and time."""
  time = time.reshape(-1, *(1 for _ in x.shape[1:]))
  return 0.9 * x + 0.3 * x**2 - 1e-4 * time, 0.2 * x - 1e-3 * time


@pytest.fixture(scope="module")
def images():
  rng = np.random.default_rng(0)
  return np.float32(2 * rng.integers(0, 256, (3, 2, 4, 1)) / 255 - 1)


@pytest.mark.parametrize("clip", [True, False])
def test_every_column_is_its_step(images, clip, key):
  chain = Chain.of(PROCESS, "10")
  run = jax.jit(
    functools.partial(bits_per_dim, predict, clip=clip, chain=chain)
  )
  result = run(images, key=key)
  compute = jax.jit(functools.partial(bound.term, chain, clip=clip))
  rows = keys.example_keys(key, 3)
  draw = jax.jit(
    lambda step: keys.normal(keys.numbered(rows, step), images.shape)
  )
  clipped = 0
  for step in range(10):
    k = np.full(3, step, np.int32)
    ab = chain.alpha_bars[step]
    noise = np.float64(draw(step))
    x = np.sqrt(ab) * images + np.sqrt(1 - ab) * noise
    eps, v = predict(x, np.full(3, chain.times[step]))
    estimate = (x - np.sqrt(1 - ab) * eps) / np.sqrt(ab)
    with jax.enable_x64(True):
      term = compute(images, x, k, eps, v)
    if clip:
      clipped += (np.abs(estimate) > 1).sum()
      estimate = np.clip(estimate, -1, 1)
    implied = (x - np.sqrt(ab) * estimate) / np.sqrt(1 - ab)
    for name, values in (
      ("terms", np.asarray(term)),
      ("x0_mse", (estimate - images) ** 2),
      ("eps_mse", (implied - noise) ** 2),
    ):
      expected = values.reshape(3, -1).mean(1)
      np.testing.assert_allclose(
        result[name][:, step],
        expected,
        rtol=2e-4,
        # A term may be near 0, but is a sum of four numbers near 1.
        atol=rounding.bound(4) if name == "terms" else 0,
        err_msg=f"{name} {step}",
      )
  assert clipped > 10 or not clip
  total = result["prior"] + result["terms"].sum(1)
  np.testing.assert_allclose(result["total"], total, rtol=1e-6)
  # Closed form of the prior: 0.5 (ab x^2 - ab - log(1 - ab)).
  ab = chain.alpha_bars[-1]
  prior = 0.5 * (ab * images**2 - ab - np.log1p(-ab)) / np.log(2)
  np.testing.assert_allclose(
    result["prior"], prior.reshape(3, -1).mean(1), rtol=1e-2, atol=1e-7
  )


def test_an_example_has_its_bits_whatever_the_batch(images, key):
  run = jax.jit(
    functools.partial(bits_per_dim, predict, chain=Chain.of(PROCESS, "4"))
  )
  whole = run(images, key=key)
  alone = run(images[1:2], key=keys.example_keys(key, 3)[1:2])
  for name, value in alone.items():
    assert value.shape == ((1,) if name in ("total", "prior") else (1, 4))
    np.testing.assert_allclose(value, whole[name][1:2], rtol=1e-5)


def test_a_model_that_knows_the_data_has_a_tight_bound(key):
  """The exact predictor of 8-bit data all equal to c needs no bits for k > 0.

  With the posterior's variance every term but the decoder's vanishes, and the
  decoder puts sigma = 0.01 around the right value.
  """
  chain = Chain.of(Process(variance="fixed_small"))
  value = np.float32(2 * 40 / 255 - 1)
  x0 = np.full((2, 50), value)
  ab = jnp.float32(chain.alpha_bars)

  def knows(x, time):
    now = ab[time.astype(jnp.int32)][:, None]
    return (x - jnp.sqrt(now) * value) / jnp.sqrt(1 - now), None

  run = jax.jit(functools.partial(bits_per_dim, knows, chain=chain))
  result = run(x0, key=key)
  np.testing.assert_allclose(result["terms"][:, 1:], 0, atol=1e-6)
  sigma = np.exp(0.5 * chain.posterior_log_variances[0])
  z = np.float64(1 / 255 / sigma)
  mass = np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3))
  np.testing.assert_allclose(result["total"], -np.log2(mass), rtol=2e-3)
