"""The drawn steps against a plain Python sampler and exact expectations."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pseudovideo import keys
from pseudovideo.diffusion import timesteps

STEPS = 7
RNG = np.random.default_rng(0)


class Plain:
  """Lists of the last ten losses."""

  def __init__(self):
    self.losses = [[] for _ in range(STEPS)]

  def update(self, k, losses):
    for step, loss in zip(k, losses, strict=True):
      self.losses[step] = [*self.losses[step], float(loss)][-10:]

  def probabilities(self):
    if any(len(history) < 10 for history in self.losses):
      return np.full(STEPS, 1 / STEPS)
    roots = [(sum(x * x for x in h) / 10) ** 0.5 for h in self.losses]
    return np.array([0.999 * r / sum(roots) + 0.001 / STEPS for r in roots])


@pytest.fixture(scope="module")
def filled():
  """A state after many batches with duplicates, and the plain sampler."""
  state, plain = timesteps.init(STEPS), Plain()
  update = jax.jit(
    lambda *args: (new := timesteps.update(*args), timesteps.probabilities(new))
  )
  seen_uniform = 0
  for _ in range(30):
    k = RNG.integers(0, STEPS, 16).astype(np.int32)
    k[:6] = k[0]
    losses = np.float32(RNG.gamma(2, size=16) * (1 + k) ** 2)
    state, p = update(state, k, losses)
    plain.update(k, losses)
    np.testing.assert_allclose(p, plain.probabilities(), rtol=1e-5)
    seen_uniform += p.min() == p.max()
  assert 3 < seen_uniform < 25
  return state, plain


def test_histories_are_those_of_the_plain_sampler(filled):
  state, plain = filled
  np.testing.assert_array_equal(state["losses"], np.float32(plain.losses))
  np.testing.assert_array_equal(state["counts"], 10)


def test_a_batch_of_one_step_only_shifts_once_per_example():
  k = jnp.full(13, 2)
  state = timesteps.update(timesteps.init(STEPS), k, jnp.arange(13.0))
  assert state["losses"][2].tolist() == list(range(3, 13))
  assert state["counts"].tolist() == [0, 0, 10, 0, 0, 0, 0]


def test_one_missing_loss_keeps_the_draws_uniform(filled):
  state, _ = filled
  state = {**state, "counts": state["counts"].at[3].set(9)}
  np.testing.assert_allclose(
    timesteps.probabilities(state), 1 / STEPS, rtol=1e-6
  )
  _, weights = timesteps.draw(jax.random.key(0), 5, state)
  np.testing.assert_allclose(weights, 1, rtol=1e-6)


def test_losses_of_zero_do_not_divide_by_zero(filled):
  state = {**filled[0], "losses": np.zeros((STEPS, 10), np.float32)}
  np.testing.assert_allclose(
    timesteps.probabilities(state), 1 / STEPS, rtol=1e-6
  )
  losses = np.zeros((STEPS, 10), np.float32)
  losses[1] = 5
  p = timesteps.probabilities({**state, "losses": losses})
  np.testing.assert_allclose(p[:2], [0.001 / 7, 0.999 + 0.001 / 7], 1e-5)


def test_weights_make_any_mean_over_steps_unbiased(filled, key):
  """Sum_k p_k w_k f_k = mean_k f_k, exactly and in 100,000 draws."""
  state, plain = filled
  num = 100_000
  k, weights = jax.jit(timesteps.draw, static_argnums=1)(key, num, state)
  k, weights = np.asarray(k), np.float64(weights)
  p = plain.probabilities()
  np.testing.assert_allclose(weights, 1 / (STEPS * p[k]), rtol=1e-5)
  counts = np.bincount(k, minlength=STEPS)
  spread = np.sqrt(num * p * (1 - p))
  assert np.all(np.abs(counts - num * p) < 4.5 * spread)

  f = RNG.normal(size=STEPS) * (1 + np.arange(STEPS)) ** 2
  weight = dict(zip(k.tolist(), weights, strict=True))
  exactly = sum(p[step] * weight[step] * f[step] for step in range(STEPS))
  assert exactly == pytest.approx(f.mean(), rel=1e-5)
  values = weights * f[k]
  assert abs(values.mean() - f.mean()) < 4.5 * values.std() / np.sqrt(num)


def test_uniform_draws(key):
  num = 50_000
  draw = jax.jit(timesteps.draw_uniform, static_argnums=(1, 2))
  k, weights = draw(key, num, STEPS)
  assert k.dtype == np.int32 and (weights == 1).all()
  counts = np.bincount(k, minlength=STEPS)
  assert len(counts) == STEPS
  assert np.abs(counts - num / 7).max() < 4.5 * np.sqrt(num * 6 / 49)


def test_example_i_draws_from_key_i_alone(filled, key):
  rows = keys.example_keys(key, 64)

  @functools.partial(jax.jit, static_argnums=1)
  def both(key, num):
    by_loss, _ = timesteps.draw(key, num, filled[0])
    return by_loss, timesteps.draw_uniform(key, num, STEPS)[0]

  for whole, part in zip(both(key, 64), both(rows[40:], 24), strict=True):
    np.testing.assert_array_equal(whole[40:], part)
