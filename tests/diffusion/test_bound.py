"""Terms of the bound, and the losses made of them, in float64.

Of data N(m, s^2) everything is known: x_k ~ N(sqrt(ab) m, ab s^2 + 1 - ab), the
best estimate of x0 is linear in x_k, and its error is s^2 (1 - ab) over that
variance. Averages over x0 and the noise are Gauss-Hermite sums.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from pseudovideo.diffusion import bound, objective
from pseudovideo.diffusion.chain import Chain
from pseudovideo.diffusion.process import Process

M, S = 0.1, 0.2
PROCESS = Process(schedule="linear", steps=200, variance="learned")
RNG = np.random.default_rng(0)


term = jax.jit(bound.term, static_argnames=("chain", "clip"))
prior = jax.jit(bound.prior, static_argnums=0)


def random_case(chain, *shape):
  """x0, noise, x, k, a wrong prediction and a v for every k."""
  k = np.arange(len(chain), dtype=np.int32)
  x0, eps, wrong, v = RNG.normal(size=(4, len(k), *shape)) * 0.4
  ab = chain.alpha_bars.reshape(-1, *(1 for _ in shape))
  return x0, eps, np.sqrt(ab) * x0 + np.sqrt(1 - ab) * eps, k, eps + wrong, v


def exact(chain):
  """Error of the best x0 estimate, and the true variance of x_{k-1} | x_k."""
  ab, before = chain.alpha_bars, np.append(1, chain.alpha_bars[:-1])
  total = ab * S**2 + 1 - ab
  covariance = np.sqrt(ab / before) * (before * S**2 + 1 - before)
  variance = before * S**2 + 1 - before - covariance**2 / total
  return S**2 * (1 - ab) / total, variance


def averages(chain, v, nodes):
  """E[L_k] in bits under the exact eps predictor, (K,)."""
  points, weights = np.polynomial.hermite_e.hermegauss(nodes)
  weights = np.outer(weights, weights).ravel() / weights.sum() ** 2
  x0, eps = (grid.ravel() for grid in np.meshgrid(M + S * points, points))
  ab = chain.alpha_bars[:, None]
  x = np.sqrt(ab) * x0 + np.sqrt(1 - ab) * eps
  best = np.sqrt(1 - ab) * (x - np.sqrt(ab) * M) / (ab * S**2 + 1 - ab)
  k = np.arange(len(chain), dtype=np.int32)
  v = None if v is None else np.broadcast_to(v[:, None], x.shape)
  with jax.enable_x64(True):
    x0 = np.broadcast_to(x0, x.shape)
    terms = term(chain, x0, x, k, best, v)
  return np.asarray(terms) @ weights


@pytest.mark.parametrize(
  ("variance", "clip"),
  [("fixed_large", False), ("fixed_small", True), ("learned", True)],
)
def test_terms_are_elementwise_divergences(variance, clip):
  """In numpy from the single steps, without the chain's tables."""
  chain = Chain.of(Process(variance=variance, steps=60), "9,8")
  x0, _, x, k, prediction, v = random_case(chain, 4, 3)
  given = v if variance == "learned" else None
  with jax.enable_x64(True):
    ours = term(chain, x0, x, k, prediction, given, clip=clip)
  assert ours.shape == x0.shape
  for i in range(1, len(k)):
    now, then = chain.alpha_bars[i], chain.alpha_bars[i - 1]
    alpha = now / then
    precision = alpha / (1 - alpha) + 1 / (1 - then)
    small, large = 1 / precision, 1 - alpha

    def mean(x0, i=i, now=now, then=then, alpha=alpha, small=small):
      likelihood = x[i] * np.sqrt(alpha) / (1 - alpha)
      return small * (likelihood + np.sqrt(then) * x0 / (1 - then))

    guess = (x[i] - np.sqrt(1 - now) * prediction[i]) / np.sqrt(now)
    guess = np.clip(guess, -1, 1) if clip else guess
    p_variance = {
      "fixed_large": large,
      "fixed_small": small,
      "learned": large ** ((v[i] + 1) / 2) * small ** ((1 - v[i]) / 2),
    }[variance]
    square = small + (mean(x0[i]) - mean(guess)) ** 2
    nats = np.log(p_variance / small) / 2 + square / (2 * p_variance) - 0.5
    np.testing.assert_allclose(ours[i], nats / np.log(2), rtol=1e-6, atol=1e-9)


def test_the_first_term_is_the_decoder_of_8_bit_values():
  chain = Chain.of(Process(steps=100))
  values = 2 * np.arange(256).reshape(1, 256) / 255 - 1
  x = values + 0.1 * RNG.normal(size=values.shape)
  prediction = RNG.normal(size=values.shape)
  with jax.enable_x64(True):
    k = np.zeros(1, np.int32)
    bits = np.asarray(term(chain, values, x, k, prediction))
  ab = 1 - 1e-3
  mean = (x - np.sqrt(1 - ab) * prediction) / np.sqrt(ab)
  ab_next = ab * (1 - 1e-3 - (0.2 - 1e-3) / 99)
  sigma = np.sqrt((1 - ab_next / ab) * (1 - ab) / (1 - ab_next))
  upper = np.where(values > 0.999, np.inf, values + 1 / 255)
  lower = np.where(values < -0.999, -np.inf, values - 1 / 255)
  mass = stats.norm.cdf((upper - mean) / sigma)
  mass -= stats.norm.cdf((lower - mean) / sigma)
  np.testing.assert_allclose(np.exp2(-bits), mass, atol=4e-4)


def test_the_prior_term_is_the_integral():
  """Taken of a chain that ends far from N(0, 1)."""
  chain = Chain(np.array([0.9, 0.5, 0.3]), np.arange(3))
  x0 = np.array([[-1.0, 0.2], [0.7, 0.0]])
  grid = np.linspace(-15, 15, 20_001)
  q = stats.norm.logpdf(grid, np.sqrt(0.3) * x0[..., None], np.sqrt(0.7))
  nats = np.trapezoid(np.exp(q) * (q - stats.norm.logpdf(grid)), grid, axis=-1)
  with jax.enable_x64(True):
    bits = prior(chain, x0)
  np.testing.assert_allclose(bits, nats / np.log(2), rtol=1e-9)


def test_sum_of_terms_is_the_gain_in_snr_times_the_error():
  """sum L_k = sum (SNR_{k-1} - SNR_k) / 2 * E|x0 - estimate|^2 with the
  posterior's variance (Kingma et al. 2021, Eq. 13)."""
  chain = Chain.of(PROCESS, "40")
  terms = averages(chain, -np.ones(len(chain)), nodes=3)
  snr = chain.alpha_bars / (1 - chain.alpha_bars)
  error, _ = exact(chain)
  expected = (snr[:-1] - snr[1:]) * error[1:] / (2 * np.log(2))
  np.testing.assert_allclose(terms[1:], expected, rtol=1e-6)


def test_with_the_true_reverse_steps_the_bound_is_tight():
  """Then it exceeds the entropy of x0 by the prior's divergence alone.

  The last density is taken from the 8-bit decoder, whose bins are small: the
  log of their width is what bits per dimension count.
  """
  chain = Chain.of(PROCESS)
  error, variance = exact(chain)
  small, large = chain.posterior_log_variances, np.log(chain.betas)
  v = 2 * (np.log(variance) - small) / (large - small) - 1
  terms = averages(chain, v, nodes=3)[1:]
  ab = chain.alpha_bars[-1]
  total = ab * S**2 + 1 - ab
  # Everything but p(x0 | x_first): h(x0) + KL(q(x_last) || N(0, 1)).
  entropy = stats.norm(M, S).entropy()
  divergence = 0.5 * (total + ab * M**2 - 1 - np.log(total))
  decoder = 0.5 * np.log(2 * np.pi * np.e * error[0])
  points, weights = np.polynomial.hermite_e.hermegauss(3)
  with jax.enable_x64(True):
    of_x0 = np.asarray(prior(chain, M + S * points[None]))[0]
  of_x0 = of_x0 @ weights / weights.sum()
  assert (terms.sum() + of_x0) * np.log(2) + decoder == pytest.approx(
    entropy + divergence, abs=1e-7
  )

  first = averages(chain, v, nodes=60)[0]
  # A bin of width 2 / 255, over sigma = 0.03, makes 0.3% of the difference.
  assert first == pytest.approx((decoder - math.log(2 / 255)) / np.log(2), 0.01)
  bits = of_x0 + terms.sum() + first
  assert bits == pytest.approx((entropy - math.log(2 / 255)) / np.log(2), 0.01)
  # Any other variance is worse.
  for other in (-1.0, 1.0):
    assert averages(chain, np.full(len(chain), other), 3)[1:].sum() > (
      terms.sum() + 1e-3
    )


def loss_case(**fields):
  process = Process(steps=200, **fields)
  process.check()
  chain = Chain.of(process)
  x0, eps, x, k, prediction, v = random_case(chain, 2)
  inputs = {"x0": x0, "eps": eps, "x": x, "k": k}
  learned = process.variance == "learned"
  return process, chain, inputs, prediction, v if learned else None


def on_device(inputs):
  return {name: jnp.asarray(value) for name, value in inputs.items()}


def alone(chain, inputs, prediction, v):
  """The term of the bound."""
  x0, x, k = (jnp.asarray(inputs[name]) for name in ("x0", "x", "k"))
  return bound.term(chain, x0, x, k, prediction, v)


def test_simple_is_the_squared_error():
  process, chain, inputs, prediction, _ = loss_case()
  with jax.enable_x64(True):
    terms = objective.terms(
      process, chain, prediction=jnp.asarray(prediction), **on_device(inputs)
    )
  assert set(terms) == {"mse"} and terms["mse"][1] == 1
  expected = (prediction - inputs["eps"]) ** 2
  np.testing.assert_allclose(terms["mse"][0], expected, rtol=1e-12)


@pytest.mark.parametrize("variance", ["fixed_small", "learned"])
def test_vlb_is_the_bound_times_the_number_of_steps(variance):
  process, chain, inputs, prediction, v = loss_case(
    variance=variance, loss="vlb"
  )

  @jax.jit
  def values(prediction, v):
    terms = objective.terms(
      process, chain, prediction=prediction, v=v, **on_device(inputs)
    )
    assert set(terms) == {"bound"} and terms["bound"][1] == 200
    return terms["bound"][0], alone(chain, inputs, prediction, v)

  with jax.enable_x64(True):
    found, expected = values(prediction, v)
  np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize(("rescale", "coefficient"), [(True, 0.2), (False, 1)])
def test_hybrid_adds_the_bound_which_trains_the_variance_only(
  rescale, coefficient
):
  process, chain, inputs, prediction, v = loss_case(
    variance="learned", loss="hybrid", rescale_learned_variance=rescale
  )
  eps = inputs["eps"]

  def loss(prediction, v):
    terms = objective.terms(
      process, chain, prediction=prediction, v=v, **on_device(inputs)
    )
    assert set(terms) == {"mse", "bound"}
    return sum(value.sum() * scale for value, scale in terms.values())

  def bound_alone(prediction, v):
    return coefficient * alone(chain, inputs, prediction, v).sum()

  @jax.jit
  def both(*arguments):
    one = jax.value_and_grad(loss, (0, 1))(*arguments)
    return one, jax.value_and_grad(bound_alone, (0, 1))(*arguments)

  with jax.enable_x64(True):
    (whole, (of_eps, of_v)), (part, (bounds_eps, bounds_v)) = jax.device_get(
      both(jnp.asarray(prediction), jnp.asarray(v))
    )
  value = whole - part
  np.testing.assert_allclose(of_eps, 2 * (prediction - eps), rtol=1e-12)
  np.testing.assert_allclose(of_v, bounds_v, rtol=1e-12)
  assert np.abs(bounds_eps).max() > 1e-3 and np.abs(bounds_v).min() > 0
  assert value == pytest.approx(np.sum((prediction - eps) ** 2), rel=1e-9)
