"""Training and sampling of the heat HVAE with a Bernoulli last step."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from scipy import special

from pseudovideo import keys
from pseudovideo.tasks import heat_hvae
from pseudovideo.training import steps


class Constant:
  """Every mean is the parameter `shift`, in every pixel."""

  def apply(self, variables, x, level, *, dropout_key=None):
    return variables["params"]["shift"] - x


BERNOULLI = heat_hvae.HeatHVAE(
  image_shape=(4, 4, 1), model=Constant(), levels=3, sigmas=(0.4, 0.9, 2.0),
  sigma_h=0.1, binarize="threshold", reconstruction_likelihood="bernoulli",
)  # fmt: skip
GAUSSIAN = dataclasses.replace(BERNOULLI, reconstruction_likelihood="gaussian")
BATCH = np.random.default_rng(0).integers(0, 256, (64, 4, 4, 1), np.uint8)


@functools.partial(jax.jit, static_argnums=0)
def loss(task, shift, key):
  terms, _ = task.loss(
    {"shift": shift}, {}, {"image": jnp.asarray(BATCH)}, key=key,
    step=jnp.int32(0), train=True,
  )  # fmt: skip
  return steps.reduce_terms(terms)


def test_objective_is_the_mean_over_images_of_their_levels(key):
  total, sums = loss(BERNOULLI, jnp.float32(0.62), key)
  level = keys.integers(
    keys.named(keys.example_keys(key, 64), "level"), 64, 1, 4
  )
  first = np.asarray(level) == 1
  assert 10 < first.sum() < 35
  x = np.float64(BATCH >= 128)
  white = special.expit((0.62 - 0.5) / 0.1)
  nats = -np.log(np.where(x == 1, white, 1 - white)).sum(axis=(1, 2, 3))
  squared, _ = loss(GAUSSIAN, jnp.float32(0.62), key)
  at_first = np.square(0.62 - x).sum(axis=(1, 2, 3))[first].sum() / 64
  others = float(squared) - at_first
  expected = others + 0.2 * nats[first].sum() / 64
  np.testing.assert_allclose(total, expected, rtol=1e-4)
  # What is logged: plain sums over 64 images, the nats 3 times.
  np.testing.assert_allclose(sums["squared_error"][0] / 64, others, rtol=1e-4)
  np.testing.assert_allclose(
    sums["bernoulli"], [3 * nats[first].sum(), 64], rtol=1e-4
  )


def test_at_grey_means_the_gradient_is_that_of_the_squared_error(key):
  def gradient(task):
    value = jax.jit(jax.grad(lambda shift: loss(task, shift, key)[0]))
    return value(jnp.float32(0.5))

  np.testing.assert_allclose(gradient(BERNOULLI), gradient(GAUSSIAN), rtol=1e-4)
  assert abs(gradient(GAUSSIAN)) > 0.1


def test_the_last_frame_is_the_probability_of_white(key):
  start = {"start_mean": jnp.ones((4, 4, 1)), "start_std": jnp.ones((4, 4, 1))}
  params = {"shift": jnp.float32(0.62)}
  video, other = jax.jit(
    lambda key: [
      task.sample(params, {"frozen": start}, key=key, num=2)
      for task in (BERNOULLI, GAUSSIAN)
    ]
  )(key)
  np.testing.assert_allclose(video[:, -1], special.expit(1.2), rtol=1e-5)
  np.testing.assert_allclose(video[:, :-1], other[:, :-1], atol=1e-5)
