"""Samplers on data N(M, S^2), for which everything is known.

The exact prediction of eps is linear in x, so that the samples are Gaussian
with moments from a recursion, and the probability-flow ODE, which keeps the
quantiles, is x -> M sqrt(ab) + z sqrt(ab S^2 + 1 - ab) with fixed z.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pseudovideo import errors, keys
from pseudovideo.diffusion.chain import Chain
from pseudovideo.diffusion.process import Process
from pseudovideo.samplers import diffusion

M, S = 0.3, 0.5


def index_of(chain, time):
  """k of the times that `chain.time` gave."""
  return jnp.searchsorted(jnp.asarray(chain.times, jnp.float32), time)


def exact(chain, v=None):
  """Predicts eps of N(M, S^2) from x and the chain's times."""

  def predict(x, time):
    ab = jnp.asarray(chain.alpha_bars, x.dtype)[index_of(chain, time)]
    ab = ab.reshape(-1, *(1 for _ in x.shape[1:]))
    eps = jnp.sqrt(1 - ab) * (x - jnp.sqrt(ab) * M) / (ab * S**2 + 1 - ab)
    return eps, None if v is None else jnp.full_like(x, v)

  return predict


def run(chain, start, *, v=None, clip=False, seed=0, predict=None, **options):
  """`sample` in float64, compiled."""
  with jax.enable_x64(True):
    sampler = jax.jit(
      functools.partial(
        diffusion.sample, predict or exact(chain, v), chain=chain, **options
      )
    )
    key = jax.random.key(seed)
    return np.asarray(sampler(start, key=key, clip=np.asarray(clip)))


def quantile(alpha_bar, z):
  return np.sqrt(alpha_bar) * M + z * np.sqrt(alpha_bar * S**2 + 1 - alpha_bar)


def estimate(alpha_bar, x):
  """E[x0 | x]."""
  total = alpha_bar * S**2 + 1 - alpha_bar
  return M + np.sqrt(alpha_bar) * S**2 / total * (x - np.sqrt(alpha_bar) * M)


@pytest.mark.parametrize("variance", ["fixed_large", "fixed_small", "learned"])
def test_all_ancestral_steps_reproduce_mean_and_deviation(variance):
  """Moments of 10,000 samples against the recursion, it against M and S."""
  chain = Chain.of(Process(variance=variance, steps=1000))
  v = 0.2 if variance == "learned" else None
  mean, spread = 0.0, 1.0
  for k in range(999, -1, -1):
    now = chain.alpha_bars[k]
    then = chain.alpha_bars[k - 1] if k else 1.0
    alpha = now / then
    gain = np.sqrt(now) * S**2 / (now * S**2 + 1 - now)
    of_x0 = np.sqrt(then) * (1 - alpha) / (1 - now)
    of_x = np.sqrt(alpha) * (1 - then) / (1 - now)
    factor = of_x0 * gain + of_x
    mean = of_x0 * (1 - gain * np.sqrt(now)) * M + factor * mean
    small, large = (1 - alpha) * (1 - then) / (1 - now), 1 - alpha
    noise = {
      "fixed_large": large,
      "fixed_small": small,
      "learned": large**0.6 * max(small, 1e-300) ** 0.4,
    }[variance]
    spread = factor**2 * spread + (noise if k else 0.0)
  # The recursion from N(0, 1) itself gives the data's Gaussian.
  assert mean == pytest.approx(M, abs=4e-3)
  assert np.sqrt(spread) == pytest.approx(S, rel=0.01)

  num = 10_000
  start = keys.normal(jax.random.key(1), (100, num // 100))
  samples = jax.jit(
    functools.partial(
      diffusion.sample, exact(chain, v), chain=chain, clip=False
    )
  )(start, key=jax.random.key(2))
  assert abs(samples.mean() - mean) < 4.5 * S / np.sqrt(num)
  assert abs(samples.std() / spread**0.5 - 1) < 4.5 / np.sqrt(2 * num)


@pytest.mark.parametrize(("method", "order"), [("ddim", 1), ("dpm_solver", 2)])
def test_deterministic_samplers_solve_the_probability_flow_ode(method, order):
  """Errors fall as the step in log-SNR to the power of the order.

  The exact solution is followed to the cleanest step, the same for all
  lengths; there every sampler returns the estimate of x0.
  """
  z = np.linspace(-2, 2, 5)[None]
  deviations = []
  lengths = [21, 81, 161]
  for length in lengths:
    half_log_snr = np.linspace(3, -3, length)
    alpha_bars = 1 / (1 + np.exp(-2 * half_log_snr))
    chain = Chain(alpha_bars, np.arange(length))
    x = run(chain, quantile(alpha_bars[-1], z), method=method)
    truth = estimate(alpha_bars[0], quantile(alpha_bars[0], z))
    deviations.append(np.abs(x - truth).max())
  # The last two lengths differ by a factor of two.
  found = np.log2(deviations[-2] / deviations[-1])
  assert found == pytest.approx(order, abs=0.1)
  assert deviations[0] < 0.1 and (np.diff(deviations) < 0).all()


@pytest.mark.parametrize("schedule, steps", [("linear", 10), ("cosine", 50)])
def test_the_solver_is_nearer_to_the_ode_than_ddim(schedule, steps):
  """Also on the uneven steps of the usual schedules, and few of them."""
  z = np.linspace(-2, 2, 9)[None]
  chain = Chain.of(Process(schedule=schedule), str(steps))
  start = quantile(chain.alpha_bars[-1], z)
  truth = M + S * z
  ddim, solver = (
    np.abs(run(chain, start, method=method) - truth).max()
    for method in ("ddim", "dpm_solver")
  )
  assert solver < 0.8 * ddim


def test_ddim_with_eta_1_is_ancestral_sampling_with_the_posteriors_variance():
  chain = Chain.of(Process(variance="fixed_small"), "20")
  start = np.random.default_rng(0).normal(size=(3, 4, 2))
  ancestral = run(chain, start)
  np.testing.assert_allclose(
    run(chain, start, method="ddim", eta=1.0), ancestral, rtol=1e-9
  )
  other = run(chain, start, method="ddim", eta=0.5)
  assert np.abs(other - ancestral).min() > 1e-4
  large = Chain.of(Process(variance="fixed_large"), "20")
  assert np.abs(run(large, start) - ancestral).max() > 1e-2


@pytest.mark.parametrize(("eta", "clip"), [(0.0, True), (0.7, False)])
def test_ddim_step_by_step(eta, clip):
  """Plain numpy, with the noise of the keys; predictions that need clamping."""
  chain = Chain.of(Process(schedule="cosine", steps=60), "12")
  start = 1.5 * np.random.default_rng(0).normal(size=(3, 5))
  with jax.enable_x64(True):
    rows = keys.example_keys(jax.random.key(0), 3)
    noise = [keys.normal(keys.numbered(rows, k), (3, 5)) for k in range(12)]

  x, clamped = start, 0
  for k in range(11, -1, -1):
    now = chain.alpha_bars[k]
    then = chain.alpha_bars[k - 1] if k else 1.0
    x0 = (x - np.sqrt(1 - now) * (0.8 * x)) / np.sqrt(now)
    if clip:
      clamped += (np.abs(x0) > 1).sum()
      x0 = np.clip(x0, -1, 1)
    eps = (x - np.sqrt(now) * x0) / np.sqrt(1 - now)
    sigma = eta * np.sqrt((1 - then) / (1 - now) * (1 - now / then))
    x = np.sqrt(then) * x0 + np.sqrt(1 - then - sigma**2) * eps
    x = x + sigma * np.float64(noise[k])
  assert clamped > 10 or not clip
  ours = run(
    chain,
    start,
    predict=lambda x, time: (0.8 * x, None),
    method="ddim",
    eta=eta,
    clip=clip,
  )
  np.testing.assert_allclose(ours, x, rtol=1e-7)


@pytest.mark.parametrize("method", ["ancestral", "ddim", "dpm_solver"])
def test_the_result_is_the_clamped_estimate_where_clip_says_so(method, key):
  """x0 is far outside wherever; only frame 1 of two is clamped."""
  chain = Chain.of(Process(), "10")
  clip = np.array([False, True]).reshape(1, 2, 1)
  far = jnp.asarray([3.0, -4.0, 0.25]).reshape(1, 1, 3)

  def predict(x, time):
    k = index_of(chain, time)
    return chain.eps_from_x0(x, jnp.broadcast_to(far, x.shape), k), None

  sampler = functools.partial(
    diffusion.sample, predict, chain=chain, method=method, key=key
  )
  start = keys.normal(key, (2, 2, 3))
  samples = jax.jit(sampler)(start, clip=clip)
  np.testing.assert_array_equal(samples[:, 1, :2], [[1, -1]] * 2)
  np.testing.assert_allclose(samples[:, 1, 2], 0.25, atol=1e-6)
  np.testing.assert_allclose(samples[:, 0], [[3, -4, 0.25]] * 2, atol=1e-4)
  # Clamped by default.
  assert np.abs(jax.jit(sampler)(start)).max() == 1


@pytest.mark.parametrize("method", ["ancestral", "ddim", "dpm_solver"])
def test_sample_i_of_a_batch_equals_the_sample_alone(method, key):
  chain = Chain.of(Process(), "8")
  options = {"method": method, "eta": 0.5 if method == "ddim" else 0.0}
  sampler = jax.jit(
    functools.partial(diffusion.sample, exact(chain), chain=chain, **options)
  )
  start = keys.normal(keys.named(key, "start"), (5, 3, 2))
  whole = sampler(start, key=key)
  alone = sampler(start[3:4], key=keys.example_keys(key, 5)[3:4])
  np.testing.assert_allclose(whole[3:4], alone, atol=1e-6)
  assert np.abs(whole[0] - whole[1]).min() > 1e-6


def test_the_network_is_asked_once_per_step_at_its_original_time(key):
  chain = Chain.of(Process(steps=4000), "2,3")
  seen = []

  def predict(x, time):
    jax.debug.callback(lambda t: seen.append(t.tolist()), time, ordered=True)
    return x, None

  start = jnp.zeros((2, 1))
  for method in diffusion.METHODS:
    seen.clear()
    diffusion.sample(predict, start, chain, key=key, method=method)
    jax.effects_barrier()
    steps = [3999, round(3999 - 1999 / 2), 2000, 1999, 0]
    assert seen == [[step / 4] * 2 for step in steps]


@pytest.mark.parametrize(
  ("method", "eta"), [("ancestral", 0.5), ("dpm_solver", 1.0)]
)
def test_only_ddim_has_an_eta(method, eta, key):
  chain = Chain.of(Process(), "8")
  with pytest.raises(errors.UserError, match=r"sampler\.eta .* 'ddim' only"):
    diffusion.sample(
      exact(chain), jnp.zeros((1, 1)), chain, key=key, method=method, eta=eta
    )
