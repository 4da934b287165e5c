"""Image diffusion: its loss, its samples and its bound."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pseudovideo import data, errors, keys
from pseudovideo.diffusion import chain as chains
from pseudovideo.diffusion import process as processes
from pseudovideo.models import unet
from pseudovideo.samplers import settings
from pseudovideo.tasks import image_diffusion

NET = unet.UNet(
  channels=8, multipliers=(1, 1), blocks=1, attention=(1,), heads=2, groups=4,
)  # fmt: skip
TASK = image_diffusion.ImageDiffusion(
  image_shape=(8, 8, 1),
  model=NET,
  process=processes.Process(steps=40),
  sampler=settings.Sampler(respacing="4"),
)


# With a network that compiles sooner; its middle attends.
SMALL = dataclasses.replace(
  TASK, model=NET.clone(multipliers=(1,), attention=())
)


def changed(task=TASK, **fields):
  return dataclasses.replace(task, **fields)


def answering(predict, task=TASK):
  """The task with predict(x, time) -> eps in place of its network."""

  class Stub(type(task)):
    def _predict(self, params, x, time, dropout_key=None):
      return predict(x, time), None

  return Stub(**vars(task))


@pytest.fixture(scope="module")
def images():
  return np.asarray(data.load("digits").train_images[:64])


@pytest.fixture(scope="module")
def fresh():
  return SMALL.init(jax.random.key(0), None)


def test_an_untrained_network_loses_the_noise(images, fresh, key):
  params, extra = fresh

  @jax.jit
  def loss(params, images):
    return SMALL.loss(
      params, extra, {"image": images}, key=key, step=0, train=True
    )[0]

  terms = loss(params, images)
  rows = keys.named(keys.example_keys(key, 64), "noise")
  eps = jax.jit(keys.normal, static_argnums=1)(rows, (64, 8, 8, 1))
  value, weight, coefficient = terms["mse"]
  np.testing.assert_allclose(
    value, np.square(np.float64(eps)).mean((1, 2, 3)), rtol=1e-5
  )
  np.testing.assert_allclose(value.mean(), 1, atol=0.05)
  assert (weight == 1).all() and coefficient == 1
  assert set(terms) == {"mse"}


def test_samples_of_gaussian_data_have_its_deviation(key):
  """E[x0 | x_k] of N(0.2, 0.3^2) is known, so that sampling is exact."""
  process = processes.Process(steps=1000)
  kept = jnp.asarray(np.cumprod(1 - process.betas()), jnp.float32)

  def predict(x, time):
    ab = kept[time.astype(jnp.int32)][:, None, None, None]
    gain = 0.09 * jnp.sqrt(ab) / (0.09 * ab + 1 - ab)
    x0 = 0.2 + gain * (x - jnp.sqrt(ab) * 0.2)
    return (x - jnp.sqrt(ab) * x0) / jnp.sqrt(1 - ab)

  task = changed(
    image_shape=(2, 2, 1), process=process, sampler=settings.Sampler()
  )
  assert task.network_evaluations == 1000
  knows = answering(predict, task)
  sample = jax.jit(lambda key: knows.sample({}, {}, key=key, num=2000))
  video = np.asarray(sample(key))
  assert video.shape == (2000, 1, 2, 2, 1)
  np.testing.assert_allclose(video.mean(0), 0.2, atol=0.03)
  np.testing.assert_allclose(video.std(0), 0.3, rtol=0.06)


def test_samples_depend_on_their_keys_only(fresh, key):
  rng = np.random.default_rng(0)
  params = jax.tree.map(
    lambda p: p + 0.1 * rng.normal(size=p.shape).astype(np.float32), fresh[0]
  )
  sample = jax.jit(
    lambda rows: SMALL.sample(params, {}, key=rows, num=len(rows))
  )
  rows = keys.example_keys(key, 3)
  together, alone = np.asarray(sample(rows)), np.asarray(sample(rows[1:2]))
  np.testing.assert_allclose(alone[0], together[1], atol=1e-4)
  assert np.abs(together[0] - together[1]).max() > 0.1
  assert np.abs(together).max() <= 1


@pytest.mark.parametrize("method", ["ancestral", "ddim", "dpm_solver"])
def test_every_method_returns_what_the_network_knows(method, key):
  kept = jnp.asarray(np.cumprod(1 - TASK.process.betas()), jnp.float32)
  times = []

  def predict(x, time):
    jax.debug.callback(lambda t: times.append(float(t)), time[0], ordered=True)
    ab = kept[jnp.round(time / 25).astype(jnp.int32)][:, None, None, None]
    return (x - jnp.sqrt(ab) * 0.25) / jnp.sqrt(1 - ab)

  task = changed(sampler=settings.Sampler(method, "7"))
  knows = answering(predict, task)
  video = jax.jit(lambda key: knows.sample({}, {}, key=key, num=2))(key)
  np.testing.assert_allclose(video, 0.25, atol=1e-4)
  jax.effects_barrier()
  assert len(times) == task.network_evaluations == 7
  assert times[0] == 39 * 25 and times[-1] == 0


def test_a_pseudo_video_is_the_image(images, key):
  video = TASK.pseudo_video({}, {}, images, key=key)
  assert video.shape == (64, 1, 8, 8, 1)
  np.testing.assert_allclose(
    video[:, 0], np.asarray(images) / 127.5 - 1, atol=1e-6
  )


def test_bits_of_an_untrained_network(images, fresh, key):
  """It predicts no noise: mu = x_k / sqrt(alpha_k) but for the clamp."""
  params, _ = fresh
  result = jax.jit(SMALL.bits_per_dim)(params, images[:8], key=key)
  result = jax.device_get(result)
  assert result["terms"].shape == (8, 40), (
    "all trained steps, not the sampler's"
  )
  assert all(np.isfinite(value).all() for value in result.values())
  np.testing.assert_allclose(
    result["total"], result["prior"] + result["terms"].sum(1), rtol=1e-5
  )
  # Clamped as in evaluation, x0 is missed by (x_k / sqrt(ab) clamped) - x0.
  x0 = np.asarray(images[:8]) / 127.5 - 1
  rows = keys.named(keys.example_keys(key, 8), "bound")
  betas = np.linspace(1e-4 * 25, 0.02 * 25, 40)
  for k in (1, 5, 39):
    ab = np.prod(1 - betas[: k + 1])
    before = np.prod(1 - betas[:k])
    eps = np.asarray(keys.normal(keys.numbered(rows, k), x0.shape))
    x = np.sqrt(ab) * x0 + np.sqrt(1 - ab) * eps
    missed = np.clip(x / np.sqrt(ab), -1, 1) - x0
    small = betas[k] * (1 - before) / (1 - ab)  # The posterior's variance.
    ratio = small / betas[k]
    weight = np.sqrt(before) * betas[k] / (1 - ab)
    kl = (ratio - 1 - np.log(ratio)) / 2
    kl = kl + np.square(weight * missed) / (2 * betas[k])
    np.testing.assert_allclose(
      result["terms"][:, k], kl.mean((1, 2, 3)) / np.log(2), rtol=1e-3
    )


def test_the_bound_needs_no_sampler(images, fresh, key):
  params, _ = fresh
  other = changed(SMALL, sampler=settings.Sampler("ddim", "2"))
  ours, theirs = (
    jax.eval_shape(task.bits_per_dim, params, images[:2], key=key)
    for task in (SMALL, other)
  )
  assert ours == theirs
  assert len(chains.Chain.of(TASK.process)) == ours["terms"].shape[1]


@pytest.mark.parametrize(
  "fields, words",
  [
    (dict(sampler=settings.Sampler(respacing="50")), "'50'"),
    (
      dict(sampler=settings.Sampler(respacing="4/4")),
      "sampler.respacing '4/4'",
    ),
    (
      dict(sampler=settings.Sampler("ancestral", "", 0.5)),
      "sampler.eta",
    ),
    (dict(image_shape=(7, 8, 1)), "7x8"),
    (
      dict(process=processes.Process(steps=40, variance="learned")),
      "process.loss 'hybrid' or 'vlb'",
    ),
  ],
)
def test_impossible_fields_are_refused(fields, words):
  TASK.check()
  with pytest.raises(errors.UserError) as caught:
    changed(**fields).check()
  assert words in str(caught.value) and str(caught.value).endswith(".")
