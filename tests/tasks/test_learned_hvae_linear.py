"""Linear networks make the HVAE Gaussian: everything has a closed form."""

import dataclasses
import functools
import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from pseudovideo import keys
from pseudovideo.tasks import learned_hvae
from tests import rounding

NUM = 20_000
GAINS, SHIFTS = np.array([0.9, 0.7, 0.8]), np.array([0.1, -0.2, 0.3])
SIGMAS = np.array([0.5, 0.6, 0.4])
LEVELS = len(GAINS)
PIXELS = np.array([[200, 30], [90, 255]])

both_sizes = pytest.mark.parametrize("downscale", (1, 2))


class LinearDecoder(nn.Module):
  """Mean g_t x + c_t, hence the network is (g_t - 1) x + c_t."""

  gains: tuple[float, ...] = tuple(GAINS)
  shifts: tuple[float, ...] = tuple(SHIFTS)

  def __call__(self, x, level, *, dropout_key=None):
    gain, shift = (
      jnp.asarray(field, jnp.float32)[level - 1][:, None, None, None]
      for field in (self.gains, self.shifts)
    )
    return (gain - 1) * x + shift


class LinearEncoder(nn.Module):
  """q(x_t | x_{t-1}) = N(a_t x_{t-1} + b_t, s_t^2)."""

  gains: tuple[float, ...] = (0.8, 0.5, 0.9)
  shifts: tuple[float, ...] = (-0.1, 0.2, 0.05)
  sigmas: tuple[float, ...] = (0.3, 0.7, 0.6)

  def __call__(self, x, level):
    gain, shift, sigma = (
      jnp.asarray(field, jnp.float32)[level - 1][:, None, None, None]
      for field in (self.gains, self.shifts, self.sigmas)
    )
    return gain * x + shift, jnp.broadcast_to(jnp.log(sigma), x.shape)


TASK = learned_hvae.LearnedHVAE(
  image_shape=(2, 2, 1), model=LinearDecoder(), encoder=LinearEncoder(),
  levels=LEVELS, decoder_levels="all",
)  # fmt: skip
PARAMS = {
  "decoder": {}, "encoder": {},
  "log_sigmas": jnp.asarray(np.log(SIGMAS), jnp.float32),
}  # fmt: skip


def marginals():
  """Mean and variance of the decoder's x_1 .. x_T, per pixel."""
  mean, variance = np.zeros(LEVELS), np.ones(LEVELS)
  for t in range(LEVELS - 1, 0, -1):
    mean[t - 1] = GAINS[t] * mean[t] + SHIFTS[t]
    variance[t - 1] = GAINS[t] ** 2 * variance[t] + SIGMAS[t] ** 2
  return mean, variance


def evidence(image, downscale):
  """-log p(x_0): the pixels of a block share one x_1."""
  mean, variance = marginals()
  shared = np.ones((4, 4)) if downscale == 2 else np.eye(4)
  covariance = GAINS[0] ** 2 * variance[0] * shared + SIGMAS[0] ** 2 * np.eye(4)
  centre = np.full(4, GAINS[0] * mean[0] + SHIFTS[0])
  return -stats.multivariate_normal.logpdf(image.ravel(), centre, covariance)


def posterior(downscale):
  """The encoder that inverts the decoder, by Bayes' rule level by level."""
  mean, variance = marginals()
  count = np.array([downscale**2, 1, 1])
  information = count * GAINS / SIGMAS**2
  precision = 1 / variance + information * GAINS
  return LinearEncoder(
    tuple(information / precision),
    tuple((mean / variance - information * SHIFTS) / precision),
    tuple(precision**-0.5),
  )


def latent_moments(net, image, downscale):
  """Of x_0 .. x_T given the image: means (T+1, pixels), variances (T+1,)."""
  start = image.mean(keepdims=True) if downscale == 2 else image
  means, variances = [start.ravel()], [0.0]
  for a, b, s in zip(net.gains, net.shifts, net.sigmas, strict=True):
    means.append(a * means[-1] + b)
    variances.append(a**2 * variances[-1] + s**2)
  return np.array(means), np.array(variances)


def expected_bound(net, image, downscale):
  """Expectations of what `negative_elbo` returns, in float64."""
  m, v = latent_moments(net, image, downscale)
  a, b, s = (np.array(f) for f in (net.gains, net.shifts, net.sigmas))

  def cost(squares, sigma):
    squares = np.asarray(squares)
    each = 0.5 * np.log(2 * np.pi * sigma**2) + squares / (2 * sigma**2)
    return each.sum()

  error = image.ravel() - GAINS[0] * m[1] - SHIFTS[0]
  first = cost(error**2 + GAINS[0] ** 2 * v[1], SIGMAS[0])
  levels = []
  for t in range(1, LEVELS):
    g = GAINS[t]
    bias = (1 - g * a[t]) * m[t] - g * b[t] - SHIFTS[t]
    spread = (1 - g * a[t]) ** 2 * v[t] + (g * s[t]) ** 2
    entropy = m[t].size * stats.norm.entropy(0, s[t - 1])
    levels.append(cost(bias**2 + spread, SIGMAS[t]) - entropy)
  top = 0.5 * (m[-1] ** 2 + v[-1] - 1) - np.log(s[-1])
  return {
    "prior": top.sum(),
    "reconstruction": first,
    "levels": np.array(levels),
    "total": top.sum() + first + sum(levels),
  }


def copies(num=NUM):
  return np.broadcast_to(np.uint8(PIXELS)[None, :, :, None], (num, 2, 2, 1))


@functools.cache
def compiled(task):
  """(images, keys) -> parts of the bound, and terms and weights of the loss."""

  @jax.jit
  def run(images, key):
    bound = task.negative_elbo(PARAMS, {}, images, key=key)
    terms, _ = task.loss(
      PARAMS, {}, {"image": images}, key=key, step=jnp.int32(0), train=True
    )
    return bound, {name: (t.value, t.weight) for name, t in terms.items()}

  return run


def bound_of(task, images, key):
  return jax.device_get(compiled(task)(images, key)[0])


def losses(task, images, key):
  return jax.device_get(compiled(task)(images, key)[1])


def assert_mean(values, expected):
  error = values.std(axis=0) / np.sqrt(len(values))
  assert (abs(values.mean(axis=0) - expected) < 5 * error + 1e-5).all()


@both_sizes
def test_negative_elbo_has_the_closed_forms_expectation(downscale, key):
  task = dataclasses.replace(TASK, latent_downscale=downscale)
  bound = bound_of(task, copies(), key)
  expected = expected_bound(task.encoder, PIXELS / 255, downscale)
  assert bound["levels"].shape == (NUM, LEVELS - 1)
  for name, value in expected.items():
    assert_mean(bound[name], value)
  parts = bound["prior"] + bound["reconstruction"] + bound["levels"].sum(1)
  np.testing.assert_allclose(bound["total"], parts, rtol=1e-5, atol=1e-5)
  assert expected["total"] > evidence(PIXELS / 255, downscale) + 0.1


@both_sizes
def test_the_true_posterior_makes_the_bound_tight(downscale, key):
  image = PIXELS / 255
  exact = evidence(image, downscale)
  task = dataclasses.replace(
    TASK, latent_downscale=downscale, encoder=posterior(downscale)
  )
  expected = expected_bound(task.encoder, image, downscale)["total"]
  np.testing.assert_allclose(expected, exact, rtol=1e-10)
  assert_mean(bound_of(task, copies(), key)["total"], exact)


@pytest.mark.parametrize(
  ("downscale", "levels"), [(1, "one"), (1, "all"), (2, "one"), (2, "all")]
)
def test_losses_estimate_the_bound_without_bias(downscale, levels, key):
  task = dataclasses.replace(
    TASK, latent_downscale=downscale, decoder_levels=levels
  )
  terms = losses(task, copies(), key)
  expected = expected_bound(task.encoder, PIXELS / 255, downscale)
  assert_mean(terms["negative_elbo"][0], expected["total"])
  assert_mean(terms["reconstruction"][0], expected["reconstruction"])
  drawn = LEVELS if downscale == 1 else LEVELS - 1
  for t, cost in enumerate(expected["levels"], 1):
    value, seen = terms[f"cost_{t:02d}"]
    assert_mean(value[seen > 0], cost)
    share = 1 if levels == "all" else 1 / drawn
    assert abs(seen.mean() - share) < 0.02
  # The signal is the share of variance that is passed on.
  net = task.encoder
  _, variances = latent_moments(net, PIXELS / 255, downscale)
  for t in range(1, LEVELS + 1):
    value, weight = terms[f"signal_{t:02d}"]
    assert (value == value[0]).all() and (weight == 1).all()
    passed = net.gains[t - 1] ** 2 * variances[t - 1]
    share = passed / (passed + net.sigmas[t - 1] ** 2)
    assert value[0] == pytest.approx(share, abs=0.01)


@pytest.mark.parametrize(
  ("downscale", "levels", "sizes"),
  [
    (1, "one", [(5, 2)]),
    (1, "all", [(15, 2)]),
    (2, "one", [(5, 1), (5, 2)]),
    (2, "all", [(10, 1), (5, 2)]),
  ],
)
def test_calls_of_the_decoder(downscale, levels, sizes, key):
  seen = []

  class Counting(LinearDecoder):
    def __call__(self, x, level, *, dropout_key=None):
      seen.append(x.shape[:2])
      return super().__call__(x, level)

  task = dataclasses.replace(
    TASK, latent_downscale=downscale, decoder_levels=levels, model=Counting()
  )
  batch = {"image": copies(5)}
  jax.eval_shape(
    lambda key: task.loss(PARAMS, {}, batch, key=key, step=0, train=True), key
  )
  assert sorted(seen, key=lambda size: size[1]) == sizes


def test_signal_of_a_collapsed_latent_is_zero(key):
  task = dataclasses.replace(TASK, encoder=LinearEncoder(gains=(0.8, 0.0, 0.9)))
  terms = losses(task, copies(100), key)
  assert terms["signal_02"][0][0] < 1e-10 < 0.1 < terms["signal_03"][0][0]


def binary_images():
  """All sixteen of 2x2 pixels."""
  bits = np.array(list(itertools.product((0, 255), repeat=4)), np.uint8)
  return bits.reshape(16, 2, 2, 1)


def binary_task(downscale, **fields):
  return dataclasses.replace(
    TASK, latent_downscale=downscale, reconstruction_likelihood="bernoulli",
    binarize="threshold", **fields,
  )  # fmt: skip


def test_bernoulli_last_step_is_a_distribution_over_images(key):
  # This encoder does not look at the image: all have the same x_1.
  blind = LinearEncoder(gains=(0.0, 0.5, 0.5), shifts=(0.4, 0.0, 0.0))
  task, images = binary_task(2, encoder=blind), binary_images()
  rows = jnp.broadcast_to(key[None], (16,))
  for nll in (
    bound_of(task, images, rows)["reconstruction"],
    losses(task, images, rows)["reconstruction"][0],
  ):
    assert np.exp(-nll.astype(np.float64)).sum() == pytest.approx(1, rel=1e-4)
    assert nll.std() > 0.1


@both_sizes
def test_bernoulli_last_step_is_that_of_the_decoders_mean(downscale, key):
  exact = LinearEncoder(sigmas=(1e-6, 0.7, 0.6))
  task = binary_task(downscale, encoder=exact)
  images = binary_images() / 255.0
  seen = images.mean((1, 2), keepdims=True) if downscale == 2 else images
  first = exact.gains[0] * seen + exact.shifts[0]
  mean = np.broadcast_to(GAINS[0] * first + SHIFTS[0], images.shape)
  white = special.expit((mean - 0.5) / 0.1)
  nll = -np.log(np.where(images == 1, white, 1 - white)).sum((1, 2, 3))
  batch = binary_images()
  bound, terms = bound_of(task, batch, key), losses(task, batch, key)
  np.testing.assert_allclose(bound["reconstruction"], nll, rtol=1e-3)
  np.testing.assert_allclose(terms["reconstruction"][0], nll, rtol=1e-3)


@pytest.mark.parametrize(
  ("downscale", "reconstruction_likelihood"),
  [(1, "gaussian"), (2, "bernoulli")],
)
def test_samples_have_the_decoders_moments(
  downscale, reconstruction_likelihood, key
):
  task = dataclasses.replace(
    TASK,
    latent_downscale=downscale,
    reconstruction_likelihood=reconstruction_likelihood,
  )
  run = jax.jit(lambda k: task.sample(PARAMS, {}, key=k, num=NUM))
  video = np.asarray(run(key), np.float64)
  assert video.shape == (NUM, LEVELS + 1, 2, 2, 1)
  for t, (mean, variance) in enumerate(zip(*marginals(), strict=True), 1):
    corner = video[:, LEVELS - t, 0, 0, 0]
    assert_mean(corner, mean)
    assert_mean((corner - mean) ** 2, variance)
  equal = (video[:, :-1] == video[:, :-1, :1, :1]).all()
  assert equal == (downscale == 2), "one latent per block, shown four times"
  image = GAINS[0] * video[:, -2] + SHIFTS[0]
  if reconstruction_likelihood == "bernoulli":
    image = special.expit((image - 0.5) / 0.1)
  # Six roundings of numbers below 4; the sigmoid's slope is at most 2.5.
  np.testing.assert_allclose(
    video[:, -1], image, atol=rounding.bound(6, 4 * 2.5)
  )


def test_samples_do_not_notice_each_other(key):
  task = dataclasses.replace(TASK, latent_downscale=2)
  rows = keys.example_keys(key, 6)
  sample = jax.jit(
    lambda rows: task.sample(PARAMS, {}, key=rows, num=len(rows))
  )
  whole, part = sample(rows), sample(rows[4:])
  np.testing.assert_allclose(whole[4:], part, atol=1e-6)
  assert np.asarray(whole).std(axis=0).min() > 0.01


@both_sizes
def test_pseudo_video_has_the_encoders_moments(downscale, key):
  task = dataclasses.replace(TASK, latent_downscale=downscale)
  make = jax.jit(lambda x, key: task.pseudo_video(PARAMS, {}, x, key=key))
  video = np.asarray(make(copies(), key))
  assert video.shape == (NUM, LEVELS + 1, 2, 2, 1)
  means, variances = latent_moments(task.encoder, PIXELS / 255, downscale)
  for t in range(1, LEVELS + 1):
    frame = video[:, LEVELS - t].reshape(NUM, 4)
    expected = np.broadcast_to(means[t], 4)
    assert_mean(frame, expected)
    assert_mean((frame - expected) ** 2, variances[t])
  np.testing.assert_allclose(video[0, -1, ..., 0], PIXELS / 255, rtol=1e-6)
