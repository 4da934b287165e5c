"""The bound of the heat HVAE on models whose every number is known.

Images of 4 x 4 pixels and a linear decoder, diagonal in the basis of the DCT:
the model is then one Gaussian chain per coefficient, whose marginal and
posterior are computed here in float64.
"""

import dataclasses
import functools
import itertools
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import fft, special, stats

from pseudovideo.augmentations import heat as blur
from pseudovideo.samplers import hvae_start
from pseudovideo.tasks import heat_hvae

WIDTHS, SIGMA, DELTA = (0.4, 0.9, 2.0), 0.1, 0.13
RNG = np.random.default_rng(0)


def gains(side, widths):
  """(K + 1, side, side) factors of the coefficients at levels 0 .. K."""
  f = (np.pi * np.arange(side) / side) ** 2
  squares = np.square([0.0, *widths])[:, None, None]
  return np.exp(-(f[:, None] + f)[None] * squares / 2)


def dct(x):
  return fft.dctn(np.float64(x), axes=(1, 2), norm="ortho")[..., 0]


class Linear:
  """Mean of u_{k-1}: A_k c + b_k for the coefficients c of u_k."""

  def __init__(self, factors, offsets):
    self.factors, self.offsets = factors, offsets

  def apply(self, variables, x, level, *, dropout_key=None):
    a = jnp.asarray(self.factors, jnp.float32)[level - 1][..., None]
    b = jnp.asarray(self.offsets, jnp.float32)[level - 1][..., None]
    return blur.from_frequencies(a * blur.to_frequencies(x) + b) - x


# Gaussian data, and the mean of u_{k-1} given u_k that it implies.
MEAN = RNG.normal(0, 0.2, (4, 4)) + np.eye(1, 16).reshape(4, 4) * 1.6
VARIANCE = RNG.uniform(0.01, 0.3, (4, 4))
GAINS = gains(4, WIDTHS)
NEAR, FAR = GAINS[:-1], GAINS[1:]
FACTORS = NEAR * VARIANCE * FAR / (VARIANCE * FAR**2 + SIGMA**2)
OFFSETS = (NEAR - FACTORS * FAR) * MEAN
TASK = heat_hvae.HeatHVAE(
  image_shape=(4, 4, 1), model=Linear(FACTORS, OFFSETS), levels=3,
  sigmas=WIDTHS, sigma_h=SIGMA, delta_ratio=DELTA / SIGMA,
)  # fmt: skip
EXTRA = {
  "frozen": {
    "start_mean": jnp.asarray((GAINS[-1] * MEAN)[..., None], jnp.float32),
    "start_std": jnp.asarray(
      (GAINS[-1] * np.sqrt(VARIANCE))[..., None], jnp.float32
    ),
  }
}
IMAGES = RNG.integers(0, 256, (3, 4, 4, 1), np.uint8)
DRAWS = 4000


@functools.cache
def compiled(task):
  return jax.jit(
    lambda extra, x, key: task.negative_elbo({}, extra, x, key=key)
  )


def drawn(task, extra, images, draws=DRAWS, key=7):
  """All parts of the bound, (images, draws, ...) float64."""
  parts = compiled(task)(
    extra, np.repeat(images, draws, axis=0), jax.random.key(key)
  )
  return {
    name: np.float64(value).reshape(len(images), draws, *value.shape[1:])
    for name, value in parts.items()
  }


@pytest.fixture(scope="module")
def parts():
  return drawn(TASK, EXTRA, IMAGES)


def assert_mean(draws, expected):
  """Within 4.5 standard errors, axis 1 being that of the draws."""
  error = draws.std(axis=1, ddof=1) / np.sqrt(draws.shape[1])
  assert (error > 0).all()
  assert (np.abs(draws.mean(axis=1) - expected) < 4.5 * error).all()


def scalar_kl(mean, std, other_mean, other_std):
  """KL of two normals by numerical integration, elementwise."""
  grid = np.linspace(-12, 12, 4001)
  x = mean[..., None] + std * grid
  q = stats.norm.logpdf(x, mean[..., None], std)
  p = stats.norm.logpdf(x, other_mean[..., None], other_std[..., None])
  return np.trapezoid(np.exp(q) * (q - p), x, axis=-1)


def joint(start_mean, start_variance, delta=DELTA):
  """p(u_0, .., u_K) per coefficient: means (K + 1, ...) and covariances.

  The covariances are (..., K + 1, K + 1), levels in the order 0 .. K.
  """
  means = [start_mean]
  # Rows: u_k as a linear function of independent unit normals.
  rows = [np.zeros((*start_mean.shape, 4))]
  rows[0][..., 3] = np.sqrt(start_variance)
  for k in (3, 2, 1):
    means.append(FACTORS[k - 1] * means[-1] + OFFSETS[k - 1])
    row = FACTORS[k - 1][..., None] * rows[-1]
    row[..., k - 1] += delta
    rows.append(row)
  root = np.stack(rows[::-1], axis=-2)
  return np.stack(means[::-1]), root @ np.swapaxes(root, -1, -2)


def exact(image):
  """-log p(u_0), and KL(q || p) of u_1 .. u_K given u_0, in nats."""
  c = dct(image[None] / 255)[0]
  means, covariance = joint(
    GAINS[-1] * MEAN, GAINS[-1] ** 2 * VARIANCE + SIGMA**2
  )
  nll = -stats.norm.logpdf(c, means[0], np.sqrt(covariance[..., 0, 0])).sum()
  divergence = 0.0
  for n, m in np.ndindex(4, 4):
    s = covariance[n, m]
    gain = s[1:, 0] / s[0, 0]
    mean = means[1:, n, m] + gain * (c[n, m] - means[0, n, m])
    posterior = s[1:, 1:] - np.outer(gain, s[0, 1:])
    precision = np.linalg.inv(posterior)
    difference = GAINS[1:, n, m] * c[n, m] - mean
    divergence += 0.5 * (
      SIGMA**2 * np.trace(precision)
      - 3
      + difference @ precision @ difference
      + np.linalg.slogdet(posterior)[1]
      - 3 * np.log(SIGMA**2)
    )
  return nll, divergence


def test_the_bound_is_the_likelihood_and_the_divergence_of_the_posterior(parts):
  """-ELBO = -log p(u_0) + KL(q(u_1..K | u_0) || p(u_1..K | u_0))."""
  nll, divergence = np.transpose([exact(image) for image in IMAGES])
  assert (divergence > 0.1).all()
  assert_mean(parts["total"], nll + divergence)
  assert (parts["total"].mean(axis=1) > nll).all()


def test_every_squared_error_has_the_right_mean(parts):
  c = dct(IMAGES / 255)[:, None]
  miss = NEAR[None] * c - FACTORS[None] * FAR[None] * c - OFFSETS[None]
  expected = (miss**2 + (FACTORS * SIGMA)[None] ** 2).sum(axis=(2, 3))
  assert_mean(parts["squared_errors"], expected)


def test_levels_are_divergences_of_normals(parts):
  """Of one coordinate along the error, and of 15 across it."""
  error = np.sqrt(parts["squared_errors"][:, :20])
  zero = np.zeros_like(error)
  delta = np.full_like(error, DELTA)
  along = scalar_kl(error, SIGMA, zero, delta)
  across = scalar_kl(zero, SIGMA, zero, delta)
  kl = (along + 15 * across)[..., 1:]
  np.testing.assert_allclose(parts["levels"][:, :20], kl, rtol=1e-4, atol=1e-4)
  nll = -stats.norm.logpdf(error, 0, DELTA) - 15 * stats.norm.logpdf(
    0, 0, DELTA
  )
  np.testing.assert_allclose(
    parts["reconstruction"][:, :20], nll[..., 0], rtol=1e-4, atol=1e-4
  )


def test_prior_of_the_gaussian_start_is_its_divergence(parts):
  c = GAINS[-1][None] * dct(IMAGES / 255)
  mean = np.broadcast_to(GAINS[-1] * MEAN, c.shape)
  std = np.sqrt(GAINS[-1] ** 2 * VARIANCE + SIGMA**2)
  kl = scalar_kl(c, SIGMA, mean, np.broadcast_to(std, c.shape))
  expected = kl.sum(axis=(1, 2))[:, None].repeat(DRAWS, 1)
  np.testing.assert_allclose(parts["prior"], expected, rtol=1e-4)


def test_total_is_the_sum(parts):
  total = parts["prior"] + parts["reconstruction"] + parts["levels"].sum(axis=2)
  np.testing.assert_allclose(parts["total"], total, rtol=1e-5, atol=1e-5)
  assert parts["levels"].shape == (3, DRAWS, 2)


def test_terms_depend_on_the_key_of_the_image_only():
  rows = jax.random.split(jax.random.key(1), 3)
  whole = compiled(TASK)(EXTRA, IMAGES, rows)
  part = compiled(TASK)(EXTRA, IMAGES[2:], rows[2:])
  for name, value in part.items():
    np.testing.assert_allclose(whole[name][2:], value, rtol=1e-5)


# Five training images: the mixture.
TRAINING = RNG.integers(0, 256, (5, 4, 4, 1), np.uint8)


def mixture(sigma=SIGMA):
  task = dataclasses.replace(
    TASK, sampler=hvae_start.HeatSampler("training_images"), sigma_h=sigma,
    delta_ratio=1.3,
  )  # fmt: skip
  fitted = dataclasses.replace(task, model=types.SimpleNamespace(init=init))
  return task, fitted.init(
    jax.random.key(0), types.SimpleNamespace(train_images=TRAINING)
  )[1]


def init(key, image, level):
  return {"params": {}}


def log_mixture(sigma, c):
  """log (1/N) sum_i exp(-KL_i) with all 16 modes."""
  centres = GAINS[-1][None] * dct(TRAINING / 255)
  distance = np.square(c[:, None] - centres[None]).sum(axis=(2, 3))
  delta = 1.3 * sigma
  kl = (distance + 16 * sigma**2) / (2 * delta**2) - 8 + 16 * np.log(1.3)
  return special.logsumexp(-kl, axis=1, b=1 / 5)


@pytest.mark.parametrize("sigma", [SIGMA, 1e-3])
def test_prior_of_the_image_start_is_the_mixture_bound(sigma):
  task, extra = mixture(sigma)
  assert extra["frozen"]["start_modes"].shape[1] < 16
  part = compiled(task)(extra, IMAGES, jax.random.key(0))
  c = GAINS[-1][None] * dct(IMAGES / 255)
  expected = -log_mixture(sigma, c)
  np.testing.assert_allclose(part["prior"], expected, rtol=2e-4)
  assert expected.max() > (0.1 if sigma == SIGMA else 1000)


def test_prior_of_the_image_start_is_above_the_divergence_itself():
  task, extra = mixture()
  part = compiled(task)(extra, IMAGES, jax.random.key(0))
  centres = GAINS[-1][None] * dct(TRAINING / 255)
  c = GAINS[-1][None] * dct(IMAGES / 255)
  u = c[:, None] + SIGMA * RNG.normal(size=(1, 4000, 4, 4))
  q = stats.norm.logpdf(u, c[:, None], SIGMA).sum(axis=(2, 3))
  components = np.stack(
    [stats.norm.logpdf(u, x[None, None], DELTA).sum((2, 3)) for x in centres]
  )
  kl = q - special.logsumexp(components, axis=0, b=1 / 5)
  margin = 4 * kl.std(axis=1) / np.sqrt(4000)
  assert (part["prior"] > kl.mean(axis=1) - margin).all()


def test_the_bound_with_the_image_start_is_above_the_exact_likelihood():
  task, extra = mixture()
  total = drawn(task, extra, IMAGES)["total"]
  c = dct(IMAGES / 255)
  components = []
  for centre in GAINS[-1][None] * dct(TRAINING / 255):
    means, covariance = joint(centre, np.full((4, 4), DELTA**2))
    std = np.sqrt(covariance[..., 0, 0])[None]
    components.append(stats.norm.logpdf(c, means[:1], std).sum(axis=(1, 2)))
  nll = -special.logsumexp(components, axis=0, b=1 / 5)
  assert (total.mean(axis=1) > nll).all()


def test_other_scales_are_those_of_another_model(parts):
  other = dataclasses.replace(TASK, delta_ratio=2.0)
  expected = drawn(other, EXTRA, IMAGES, draws=50, key=3)
  given = drawn(TASK, EXTRA, IMAGES, draws=50, key=3)
  flat = {name: value.reshape(150, -1)[:, 0] for name, value in given.items()}
  flat["squared_errors"] = given["squared_errors"].reshape(150, 3)
  result = TASK.negative_elbo_at(flat, np.full(3, 2.0 * SIGMA))
  assert result["total"].dtype == np.float64
  np.testing.assert_allclose(
    result["total"], expected["total"].ravel(), rtol=1e-4, atol=1e-4
  )


def test_best_scales_make_the_mean_bound_least(parts):
  flat = {name: value[:, 0] for name, value in parts.items()}
  best = TASK.best_deltas(flat["squared_errors"])

  def mean_bound(deltas):
    return TASK.negative_elbo_at(flat, deltas)["total"].mean()

  for level, factor in itertools.product(range(3), (0.5, 0.97, 1.03, 2)):
    other = best.copy()
    other[level] *= factor
    assert mean_bound(other) > mean_bound(best)


# All black-and-white images of 2 x 2 pixels.
ALL = np.array(list(itertools.product([0, 255], repeat=4)), np.uint8)
ALL = ALL.reshape(16, 2, 2, 1)


def small(model):
  return heat_hvae.HeatHVAE(
    image_shape=(2, 2, 1), model=model, levels=2, sigmas=(0.3, 1.0),
    sigma_h=0.3, binarize="threshold", reconstruction_likelihood="bernoulli",
  )  # fmt: skip


# Fair independent pixels: coefficients of variance 1/4, about grey.
GREY = np.array([[1.0, 0.0], [0.0, 0.0]])
SMALL_GAINS = gains(2, (0.3, 1.0))
START = {
  "start_mean": jnp.asarray((SMALL_GAINS[2] * GREY)[..., None], jnp.float32),
  "start_std": jnp.asarray((SMALL_GAINS[2] * 0.5)[..., None], jnp.float32),
}


def test_probabilities_of_a_last_step_that_sees_nothing_sum_to_one():
  mean = RNG.normal(1, 0.4, (2, 2, 2))
  task = small(Linear(0 * mean, mean))
  part = compiled(task)({"frozen": START}, ALL, jax.random.key(0))
  nll = np.float64(part["reconstruction"])
  np.testing.assert_allclose(np.exp(-nll).sum(), 1, rtol=1e-5)
  pixels = fft.idctn(mean[0], norm="ortho")
  expected = -np.log(
    special.expit((2 * (ALL[..., 0] > 0) - 1) * 10 * (pixels - 0.5)[None])
  )
  np.testing.assert_allclose(nll, expected.sum(axis=(1, 2)), rtol=1e-4)


def test_bounds_of_all_black_and_white_images_are_those_of_probabilities():
  """The sum over images of exp(ELBO) <= p is at most 1."""
  near, far = SMALL_GAINS[:-1], SMALL_GAINS[1:]
  factors = near * far / (far**2 + 4 * 0.3**2)
  offsets = (near - factors * far) * GREY[None]
  task = small(Linear(factors, offsets))
  parts = {
    name: value.reshape(16 * 300, *value.shape[2:])
    for name, value in drawn(task, {"frozen": START}, ALL, 300).items()
  }
  best = task.best_deltas(parts["squared_errors"])
  for deltas in ([1.0, 0.375], [1.0, 0.6], best):
    total = task.negative_elbo_at(parts, deltas)["total"]
    mass = np.exp(-total.reshape(16, 300).mean(axis=1)).sum()
    assert mass <= 1
  assert mass > 0.5, "without any one of the terms it would be above 1"


def test_scales_leave_a_bernoulli_last_step_alone():
  task = small(Linear(np.ones((2, 2, 2)), np.zeros((2, 2, 2))))
  part = compiled(task)({"frozen": START}, ALL, jax.random.key(0))
  part = {name: np.asarray(value) for name, value in part.items()}
  result = task.negative_elbo_at(part, [0.001, 0.375])
  np.testing.assert_allclose(result["total"], part["total"], rtol=1e-5)
