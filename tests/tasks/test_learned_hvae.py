"""The bound is checked against a linear-Gaussian HVAE with a known evidence."""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from pseudovideo import data, errors, keys
from pseudovideo.models import encoder, unet
from pseudovideo.tasks import learned_hvae

NET = unet.UNet(
  channels=8, multipliers=(1, 1), blocks=1, attention=(1,), heads=1, groups=4,
  conditioning="additive",
)  # fmt: skip
ENCODER = encoder.LatentEncoder(channels=8, blocks=1, groups=4)
TASK = learned_hvae.LearnedHVAE(
  image_shape=(8, 8, 1), model=NET, encoder=ENCODER, levels=3,
  decoder_levels="all",
)  # fmt: skip


# With a decoder that compiles sooner; its middle attends.
SMALL = dataclasses.replace(
  TASK, model=NET.clone(multipliers=(1,), attention=())
)


@pytest.fixture(scope="module")
def digits():
  return data.load("digits")


@pytest.fixture(scope="module")
def fresh(digits):
  """Untrained: q adds noise of 0.1 at every level, p predicts no change."""
  return SMALL.init(jax.random.key(0), digits)


@pytest.fixture(scope="module")
def changed(fresh):
  """Parameters of a network that does something."""
  rng = np.random.default_rng(0)
  params = jax.tree.map(
    lambda p: p + 0.05 * rng.normal(size=p.shape).astype(np.float32), fresh[0]
  )
  return params, fresh[1]


def losses(task, params, batch, key, step=10**6):
  def run(params, batch, key):
    terms, _ = task.loss(
      params, {}, batch, key=key, step=jnp.int32(step), train=True
    )
    return {n: (v, w, jnp.float32(c)) for n, (v, w, c) in terms.items()}

  return jax.device_get(jax.jit(run)(params, batch, key))


def test_bound_of_a_random_walk_is_the_closed_form(digits, fresh, key):
  # q(x_t|x_{t-1}) = N(x_{t-1}, s^2), p(x_{t-1}|x_t) = N(x_t, s^2), s = 0.1.
  # Per pixel: reconstruction and transitions cost E[e^2]/2 + ln s + c each.
  batch = {"image": digits.train_images[:512]}
  terms = losses(SMALL, fresh[0], batch, key)
  s, d = 0.1, 64
  density = d * (0.5 + np.log(s) + 0.5 * np.log(2 * np.pi))
  spread = d * np.sqrt(0.5 / (d * 512))
  mean = {name: v.mean() for name, (v, w, _) in terms.items()}
  assert abs(mean["reconstruction"] - density) < 5 * spread
  assert abs(mean["transitions"] - 2 * density) < 5 * np.sqrt(2) * spread
  entropy = 2 * d * stats.norm.entropy(0, s)
  np.testing.assert_allclose(mean["entropy"], entropy, rtol=1e-5)
  # x_3's mean given x_2 is x_0 plus two noises.
  x = digits.train_images[:512] / 255
  second = np.square(x).sum((1, 2, 3)).mean() + d * 2 * s**2
  prior = 0.5 * (second + d * (s**2 - 1)) - d * np.log(s)
  np.testing.assert_allclose(mean["prior"], prior, rtol=2e-3)
  for name in ("cost_01", "cost_02"):
    assert abs(mean[name]) < 5 * spread, (
      "what the encoder adds, the decoder expects"
    )
  # The marginal of the random-walk decoder is N(0, 1 + 3 s^2) per pixel.
  evidence = stats.norm.logpdf(x, 0, np.sqrt(1 + 3 * s**2)).sum((1, 2, 3))
  assert -mean["negative_elbo"] < evidence.mean()


def test_terms_add_up_to_the_bound_when_warm(digits, changed, key):
  """Until then all terms but the reconstruction weigh less."""
  task = dataclasses.replace(SMALL, warmup_steps=10)

  @jax.jit
  def run(params, step):
    batch = {"image": digits.train_images[:8]}
    terms, _ = task.loss(params, {}, batch, key=key, step=step, train=True)
    return {
      name: (term.value, term.coefficient) for name, term in terms.items()
    }

  terms = run(changed[0], jnp.int32(10**6))
  total = sum(np.float64(v) * c for v, c in terms.values())
  np.testing.assert_allclose(total, terms["negative_elbo"][0], rtol=1e-5)
  coefficients = {
    name: float(c) for name, (_, c) in run(changed[0], jnp.int32(4)).items()
  }
  assert coefficients["reconstruction"] == 1
  for name in ("transitions", "prior"):
    assert coefficients[name] == pytest.approx(0.5)
  assert coefficients["entropy"] == pytest.approx(-0.5)


class NoChange(nn.Module):
  """A decoder whose output is zero."""

  def __call__(self, x, level, *, dropout_key=None):
    return 0 * x


def test_every_way_to_compile_the_encoder_gives_the_same(digits, changed, key):
  """The decoder does not matter."""
  params = {**changed[0], "decoder": {}}
  batch = {"image": digits.train_images[:4]}

  def value_and_gradient(scan):
    task = dataclasses.replace(SMALL, scan=scan, model=NoChange(), levels=2)

    def loss(params):
      terms, _ = task.loss(
        params, {}, batch, key=key, step=jnp.int32(0), train=True
      )
      return jnp.sum(terms["negative_elbo"].value)

    return jax.jit(jax.value_and_grad(loss))(params)

  value, gradient = value_and_gradient("unroll")
  other, its_gradient = value_and_gradient("remat")
  np.testing.assert_allclose(value, other, rtol=1e-5)
  scale = max(float(np.abs(g).max()) for g in jax.tree.leaves(gradient))
  assert scale > 1
  for a, b in zip(
    jax.tree.leaves(gradient), jax.tree.leaves(its_gradient), strict=True
  ):
    np.testing.assert_allclose(a, b, atol=1e-4 * scale)


def test_examples_do_not_notice_each_other(digits, changed, key):
  task = dataclasses.replace(
    SMALL, model=SMALL.model.clone(dropout=0.3), latent_downscale=2
  )
  images = digits.train_images[:6]
  rows = keys.example_keys(key, 6)
  whole = losses(task, changed[0], {"image": images}, rows)
  part = losses(task, changed[0], {"image": images[4:]}, rows[4:])
  of_batch = {f"signal_{t:02d}" for t in (1, 2, 3)}
  for name in set(whole) - of_batch:
    np.testing.assert_allclose(
      whole[name][0][4:], part[name][0], rtol=1e-4, atol=1e-2
    )


def test_dropout_is_for_training_only(digits, changed, key):
  images = digits.train_images[:4]
  bounds = []
  for dropout in (0.0, 0.9):
    task = dataclasses.replace(SMALL, model=SMALL.model.clone(dropout=dropout))
    run = jax.jit(functools.partial(task.negative_elbo, *changed))
    bounds.append(run(images, key=key))
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), *bounds
  )
  batch = {"image": images}
  with_dropout = losses(task, changed[0], batch, key)["reconstruction"][0]
  assert (np.asarray(bounds[0]["reconstruction"]) != with_dropout).all()


def test_smaller_latents_need_no_other_parameters():
  def shapes(task):
    return jax.eval_shape(lambda key: task.init(key, None), jax.random.key(0))

  small = dataclasses.replace(SMALL, latent_downscale=4)
  small.check()
  assert shapes(small) == shapes(SMALL)


def test_samples_start_from_the_standard_normal(changed, key):
  video = np.asarray(
    jax.jit(lambda k: SMALL.sample(*changed, key=k, num=500))(key)
  )
  assert video.shape == (500, 4, 8, 8, 1)
  assert abs(video[:, 0].mean()) < 5 / np.sqrt(video[:, 0].size)
  assert abs(video[:, 0].std() - 1) < 0.02


def test_pseudo_video_is_the_encoders_path(digits, fresh, key):
  images = digits.train_images[:20]
  video = np.asarray(jax.jit(SMALL.pseudo_video)(*fresh, images, key=key))
  np.testing.assert_allclose(
    video[:, -1], digits.train_images[:20] / 255, atol=1e-6
  )
  np.testing.assert_allclose(np.diff(video, axis=1).std(), 0.1, rtol=0.05)


@pytest.mark.parametrize(
  "fields, words",
  [
    (dict(reconstruction_likelihood="bernoulli"), "data.binarize is 'none'"),
    (
      dict(latent_downscale=4, model=NET.clone(multipliers=(1, 1, 1))),
      "sides divisible by 16; got images of 8x8",
    ),
    (dict(latent_downscale=2, image_shape=(8, 10, 1)), "divisible by 4"),
    (dict(encoder=encoder.LatentEncoder(channels=9)), "encoder.channels"),
    (dict(encoder=encoder.LatentEncoder(initial_sigma=9.0)), "bounds"),
  ],
)
def test_impossible_fields_are_refused(fields, words):
  with pytest.raises(errors.UserError, match=words):
    dataclasses.replace(TASK, **fields).check()
