"""A chain against single steps composed, Bayes' rule, and its respacings."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pseudovideo.diffusion.chain import Chain
from pseudovideo.diffusion.process import Process

LINEAR, COSINE = Process(), Process(schedule="cosine", steps=100)
RNG = np.random.default_rng(0)


def every(chain, *shape):
  """k = 0 .. K - 1 and that many random arrays of `shape`."""
  k = np.arange(len(chain), dtype=np.int32)
  return k, RNG.normal(size=(len(chain), *shape))


@pytest.mark.parametrize("process", [LINEAR, COSINE])
def test_the_marginals_are_those_of_single_steps_composed(process):
  chain = Chain.of(process)
  k, x0 = every(chain, 3)
  zeros, ones = np.zeros_like(x0), np.ones_like(x0)
  with jax.enable_x64(True):
    add_noise = jax.jit(chain.add_noise)
    mean = np.asarray(add_noise(x0, zeros, k))
    scale = np.asarray(add_noise(zeros, ones, k))
  factor, variance = 1.0, 0.0
  for i, beta in enumerate(process.betas()):
    factor *= np.sqrt(1 - beta)
    variance = (1 - beta) * variance + beta
    np.testing.assert_allclose(mean[i], factor * x0[i], rtol=1e-9)
    np.testing.assert_allclose(scale[i] ** 2, variance, rtol=1e-9)


@pytest.mark.parametrize(
  ("process", "respacing"), [(LINEAR, ""), (LINEAR, "ddim50"), (COSINE, "7,5")]
)
def test_the_posterior_is_bayes_rule(process, respacing):
  """Condition the joint Gaussian of (x_{k-1}, x_k) given x0 on x_k."""
  chain = Chain.of(process, respacing)
  k, x0 = every(chain, 2)
  x = RNG.normal(size=x0.shape)
  with jax.enable_x64(True):
    mean = np.asarray(jax.jit(chain.posterior_mean)(x0, x, k))
    log_variance = np.asarray(jax.jit(chain.posterior_log_variance)(k, x))
  variances = []
  for i in range(len(chain)):
    before = chain.alpha_bars[i - 1] if i else 1.0
    alpha = chain.alpha_bars[i] / before
    prior = 1 - before
    total = alpha * prior + 1 - alpha
    gain = np.sqrt(alpha) * prior / total
    predicted = np.sqrt(alpha * before) * x0[i]
    expected = np.sqrt(before) * x0[i] + gain * (x[i] - predicted)
    np.testing.assert_allclose(mean[i], expected, rtol=1e-8, atol=1e-9)
    variances.append(prior - gain * np.sqrt(alpha) * prior)
  assert variances[0] == 0
  np.testing.assert_allclose(np.exp(log_variance[1:, 0]), variances[1:], 1e-7)
  assert log_variance[0] == log_variance[1]
  np.testing.assert_array_equal(mean[0], x0[0])


def test_a_respaced_chain_has_the_marginals_of_the_steps_it_keeps():
  for respacing, count in {"50": 50, "ddim50": 50, "10,15,20": 45}.items():
    chain = Chain.of(LINEAR, respacing)
    kept = np.rint(chain.times).astype(int)
    np.testing.assert_allclose(
      np.cumprod(1 - chain.betas),
      [np.prod(1 - LINEAR.betas()[: step + 1]) for step in kept],
      rtol=1e-9,
    )
    assert len(chain) == len(kept) == count


def test_the_network_is_told_the_original_step_in_thousandths():
  k = jnp.arange(50)
  time = Chain.of(LINEAR, "50").time(k)
  assert time.dtype == np.float32
  assert time[:4].tolist() == [0, 20, 41, 61] and time[-1] == 999
  long = Chain.of(Process(steps=4000), "ddim50").time(k)
  assert long[:3].tolist() == [0, 20, 40]
  short = Chain.of(Process(steps=50)).time(k)
  np.testing.assert_allclose(short, np.arange(50) * 20)


def test_eps_and_x0_determine_each_other():
  for process in (LINEAR, COSINE):
    chain = Chain.of(process)
    k, x0 = every(chain, 2, 3)
    eps = RNG.normal(size=x0.shape)

    def back(x0, eps, k, chain=chain):
      x = chain.add_noise(x0, eps, k)
      return chain.x0_from_eps(x, eps, k), chain.eps_from_x0(x, x0, k)

    with jax.enable_x64(True):
      x0_again, eps_again = jax.jit(back)(x0, eps, k)
    np.testing.assert_allclose(x0_again, x0, atol=1e-9)
    np.testing.assert_allclose(eps_again, eps, atol=1e-9)


def test_variances_of_the_reverse_step():
  """fixed_large: beta; fixed_small: the posterior's; learned: in between."""
  tables = {}
  for name in ("fixed_large", "fixed_small", "learned"):
    chain = Chain.of(Process(variance=name), "20")
    k, x = every(chain, 1)
    with jax.enable_x64(True):
      compute = jax.jit(chain.reverse_log_variance)
      if name == "learned":
        for value in (-1, 0, 1, 3):
          tables[value] = compute(k, x, np.full_like(x, value))
      else:
        tables[name] = compute(k, x)
  tables = {name: np.asarray(table)[:, 0] for name, table in tables.items()}
  ratios = chain.alpha_bars / np.append(1, chain.alpha_bars[:-1])
  beta = np.log(1 - ratios)
  np.testing.assert_allclose(tables["fixed_large"][1:], beta[1:], rtol=1e-9)
  assert tables["fixed_large"][0] == tables["fixed_small"][0]
  assert tables["fixed_small"][0] == tables["fixed_small"][1]
  assert (tables["fixed_small"][1:] < tables["fixed_large"][1:]).all()
  np.testing.assert_allclose(tables[-1], tables["fixed_small"], rtol=1e-12)
  np.testing.assert_allclose(tables[1], beta, rtol=1e-9)
  np.testing.assert_allclose(tables[0], (tables[-1] + beta) / 2, rtol=1e-9)
  # v is not squashed.
  np.testing.assert_allclose(tables[3], 2 * beta - tables[-1], rtol=1e-9)


def test_a_v_belongs_to_a_learned_variance_and_to_no_other():
  k, x = jnp.zeros(1, jnp.int32), jnp.zeros((1, 2))
  with pytest.raises(ValueError, match="'fixed_large' has no v"):
    Chain.of(LINEAR).reverse_log_variance(k, x, x)
  with pytest.raises(ValueError, match="'learned' lacks v"):
    Chain.of(Process(variance="learned")).reverse_log_variance(k, x)


def test_tables_are_rounded_once_to_float32_also_under_jit():
  chain = Chain.of(LINEAR)
  k, x0 = every(chain, 2, 2, 1)
  x0, eps = np.float32(x0), np.float32(RNG.normal(size=x0.shape))
  x = np.asarray(jax.jit(chain.add_noise)(x0, eps, k))
  assert x.dtype == np.float32
  signal = np.float32(np.sqrt(chain.alpha_bars))[:, None, None, None]
  noise = np.float32(np.sqrt(1 - chain.alpha_bars))[:, None, None, None]
  np.testing.assert_allclose(x, signal * x0 + noise * eps, atol=5e-7)


def test_the_same_arguments_give_the_same_object():
  """So that functions compiled for it are found again."""
  assert Chain.of(Process(), "50") is Chain.of(Process(), "50")
  assert Chain.of(Process(), "50") is not Chain.of(Process(), "51")
