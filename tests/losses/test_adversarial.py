import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pseudovideo.losses import adversarial
from pseudovideo.models import discriminator
from tests.models import discriminator_reference as reference

RNG = np.random.default_rng(0)


def test_hinge_values():
  logits = jnp.float32([-3.0, -1.0, -0.25, 0.0, 0.5, 1.0, 4.0])
  real, fake = adversarial.hinge_discriminator(logits, logits[:5])
  np.testing.assert_array_equal(real, [4, 2, 1.25, 1, 0.5, 0, 0])
  np.testing.assert_array_equal(fake, [0, 0, 0.75, 1, 1.5])
  np.testing.assert_array_equal(adversarial.generator(logits), -logits)


# D(x) = x A x / 2 + b x, so that its gradient is A x + b.
HALF = RNG.normal(size=(12, 12))
MATRIX, SHIFT = (HALF + HALF.T) / 6, RNG.normal(size=12)
POINTS = RNG.normal(size=(5, 2, 3, 2))
SLOPES = POINTS.reshape(5, 12) @ MATRIX + SHIFT
NORMS = np.linalg.norm(SLOPES, axis=1)


def quadratic(shift, x):
  flat = x.reshape(len(x), -1)
  pulled = flat @ jnp.float32(MATRIX)
  return 0.5 * (flat * pulled).sum(1) + flat @ shift


def test_penalties_of_a_quadratic_discriminator():
  def logits_fn(x):
    return quadratic(jnp.float32(SHIFT), x)

  penalty, r1 = jax.jit(
    lambda x: (
      adversarial.gradient_penalty(logits_fn, x),
      adversarial.r1(logits_fn, x),
    )
  )(jnp.float32(POINTS))
  np.testing.assert_allclose(penalty, (NORMS - 1) ** 2, rtol=1e-5)
  np.testing.assert_allclose(r1, NORMS**2, rtol=1e-5)


def test_slope_of_the_penalty_of_a_quadratic_discriminator():
  """By b it is 2 (|g| - 1) g / |g|, with g = A x + b."""

  def penalty(shift):
    return adversarial.gradient_penalty(
      lambda x: quadratic(shift, x), jnp.float32(POINTS)
    )

  expected = 2 * ((NORMS - 1) / NORMS)[:, None] * SLOPES
  ours = jax.jit(jax.jacobian(penalty))(jnp.float32(SHIFT))
  np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)


def test_a_constant_discriminator_costs_one_and_has_no_slope():
  def penalty(scale):
    return adversarial.gradient_penalty(
      lambda x: scale * x.sum((1, 2, 3)), jnp.ones((2, 4, 4, 1))
    ).sum()

  value, slope = jax.jit(jax.value_and_grad(penalty))(0.0)
  assert value == 2 and slope == 0


NET = discriminator.Discriminator(width=4, max_width=6, heads=2, head_width=3)
IMAGES = RNG.uniform(size=(2, 16, 16, 1))


@pytest.fixture(scope="module")
def params():
  shapes = jax.eval_shape(NET.init, jax.random.key(0), jnp.float32(IMAGES))
  rng = np.random.default_rng(1)
  return jax.tree.map(
    lambda s: rng.normal(size=s.shape) * 0.3, shapes["params"]
  )


def norms_in_numpy(params):
  """|grad_x D(x)| of the network by differences in float64."""

  def logits(x):
    return reference.logits(params, x, attention_side=16, heads=2)

  return np.linalg.norm(reference.slopes(logits, IMAGES).reshape(2, -1), axis=1)


@pytest.fixture(scope="module")
def ours(params):
  """Penalty, R1, and the gradient of the summed penalty by the parameters."""

  @jax.jit
  def compute(params, images):
    def penalty(params):
      def logits_fn(x):
        return NET.apply({"params": params}, x)

      values = adversarial.gradient_penalty(logits_fn, images)
      return values.sum(), (values, adversarial.r1(logits_fn, images))

    gradient, values = jax.grad(penalty, has_aux=True)(params)
    return *values, gradient

  return compute(jax.tree.map(jnp.float32, params), jnp.float32(IMAGES))


def test_penalties_of_the_discriminator(params, ours):
  penalty, r1, _ = ours
  norms = norms_in_numpy(params)
  assert np.abs(norms - 1).min() > 0.1
  np.testing.assert_allclose(penalty, (norms - 1) ** 2, rtol=1e-5)
  np.testing.assert_allclose(r1, norms**2, rtol=1e-5)


def test_gradient_of_the_penalty_is_its_slope(params, ours):
  """Against differences of differences in float64."""
  step = 1e-5
  gradient = jax.tree.map(np.float64, ours[2])
  rng = np.random.default_rng(2)
  other = jax.tree.map(lambda p: rng.normal(size=p.shape), params)
  for direction in (gradient, other):
    length = np.sqrt(sum((d**2).sum() for d in jax.tree.leaves(direction)))
    ends = []
    for signed in (step / length, -step / length):
      moved = jax.tree.map(lambda p, d, s=signed: p + s * d, params, direction)
      ends.append(((norms_in_numpy(moved) - 1) ** 2).sum())
    products = jax.tree.map(lambda g, d: (g * d).sum(), gradient, direction)
    expected = sum(jax.tree.leaves(products)) / length
    assert abs(expected) > 0.01
    np.testing.assert_allclose(
      (ends[0] - ends[1]) / (2 * step), expected, rtol=2e-4
    )


# pixels = F K; numerator mean (F K - T)^2, generator -mean over rows F K v.
FEATURES = RNG.normal(size=(6, 4))
KERNEL, TARGET = RNG.normal(size=(4, 5)), RNG.normal(size=(6, 5))
DIRECTION = RNG.normal(size=5)


def numerator(pixels):
  return jnp.mean((pixels - jnp.float32(TARGET)) ** 2)


def generator(pixels):
  return -jnp.mean(pixels @ jnp.float32(DIRECTION))


@functools.partial(jax.jit, static_argnames="most")
def weigh(kernel, features, most=1e4):
  return adversarial.last_layer_weight(
    lambda tree, features: features @ tree["kernel"],
    {"kernel": kernel},
    features,
    numerator,
    generator,
    most,
  )


@pytest.fixture(scope="module")
def point():
  return jnp.float32(KERNEL), jnp.float32(FEATURES)


def closed_form():
  error = FEATURES @ KERNEL - TARGET
  one = np.linalg.norm(2 * FEATURES.T @ error / error.size)
  two = np.linalg.norm(np.outer(FEATURES.mean(0), DIRECTION))
  return one / two


def test_adaptive_weight_of_a_linear_head(point):
  np.testing.assert_allclose(weigh(*point), closed_form(), rtol=1e-5)


def test_adaptive_weight_is_clamped(point):
  assert weigh(*point, most=0.5 * closed_form()) == np.float32(
    0.5 * closed_form()
  )
  zero, three = jnp.zeros(()), jnp.full((), 3.0)
  assert adversarial.adaptive_weight(three, zero, 7.0) == 7
  assert adversarial.adaptive_weight(zero, zero, 7.0) == 0
  tiny = jnp.full((), 1e-8)
  np.testing.assert_allclose(
    adversarial.adaptive_weight(three, tiny, 1e10), 1.5e8, rtol=1e-6
  )


def test_at_the_adaptive_weight_both_losses_pull_equally(point):
  kernel, features = point
  weight = weigh(*point)

  def slope(loss):
    gradient = jax.jit(jax.grad(lambda kernel: loss(features @ kernel)))(kernel)
    return np.linalg.norm(np.float64(gradient))

  np.testing.assert_allclose(
    weight * slope(generator), slope(numerator), rtol=1e-5
  )


def test_nothing_is_learned_through_the_adaptive_weight(point):
  for gradient in jax.jit(jax.grad(weigh, (0, 1)))(*point):
    np.testing.assert_array_equal(gradient, 0)

  def weighed(kernel, features):
    return weigh(kernel, features) * generator(features @ kernel)

  by_kernel, by_features = jax.jit(jax.grad(weighed, (0, 1)))(*point)
  pull = -closed_form() / len(FEATURES)
  np.testing.assert_allclose(
    by_kernel, pull * np.outer(FEATURES.sum(0), DIRECTION), rtol=1e-4
  )
  np.testing.assert_allclose(
    by_features,
    np.broadcast_to(pull * KERNEL @ DIRECTION, FEATURES.shape),
    rtol=1e-4,
  )
