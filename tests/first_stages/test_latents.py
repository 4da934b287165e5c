"""Scale and shift of latents, against all of them at once in numpy."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pseudovideo import keys, runs
from pseudovideo.first_stages import latents

NUM = 11


class Toy:
  """Posteriors that are far from standard, of noisy videos of 3 frames."""

  def pseudo_video(self, params, extra, images, *, key):
    noise = keys.normal(key, (len(images), 3, *images.shape[1:]))
    return noise + images[:, None] / 64

  def posterior(self, params, video):
    return params["scale"] * video + 100, jnp.sin(video) + params["log"]


def test_numbers_are_those_of_drawn_latents():
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (NUM, 4, 5, 1), np.uint8)
  params = {"scale": jnp.float32(3), "log": jnp.float32(2)}
  run = types.SimpleNamespace(task=Toy(), params=params, extra={})
  found = latents.estimate(run, images, batch_size=4, seed=5)
  rows = keys.example_keys(keys.named(jax.random.key(5), "latents"), NUM)
  video = np.float64(Toy().pseudo_video(None, None, images, key=rows))
  means, variances = 3 * video + 100, np.exp(np.sin(video) + 2)
  # Many draws of each latent; the variance of the noise counts.
  drawn = means + np.sqrt(variances) * rng.normal(size=(4000, *means.shape))
  assert found.shift == pytest.approx(means.mean(), rel=1e-6)
  exact = np.sqrt(means.var() + variances.mean())
  assert found.scale == pytest.approx(1 / exact, rel=1e-5)
  standard = found.scale * (drawn - found.shift)
  assert abs(standard.mean()) < 5e-3 and abs(standard.std() - 1) < 5e-3
  assert abs(found.scale * means.std() - 1) > 0.1, "means are not enough"
  whole = latents.estimate(run, images, batch_size=NUM, seed=5)
  assert found == pytest.approx(whole, rel=1e-6)


def test_of_a_trained_video_vae(tiny_vae_run):
  run = runs.restore(tiny_vae_run)
  images = run.image_set.train_images[:NUM]
  found = latents.estimate(run, images, batch_size=8)
  rows = keys.example_keys(jax.random.key(0), NUM)
  video = run.task.pseudo_video(run.params, {}, images, key=rows)
  means, logs = (np.float64(x) for x in run.task.posterior(run.params, video))
  assert found.shift == pytest.approx(means.mean(), abs=1e-5)
  deviation = np.sqrt(means.var() + np.exp(logs).mean())
  assert found.scale == pytest.approx(1 / deviation, rel=1e-4)


def test_the_hash_is_of_what_encodes_and_decodes():
  network = {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3)}

  def found(**params):
    run = types.SimpleNamespace(params={"network": network} | params)
    return latents.autoencoder_hash(run)

  assert len(found()) == 64
  assert found(discriminator={"kernel": np.ones(2)}) == found()
  moved = network["kernel"] + np.float32([0, 0, 1e-6])
  assert found(network={"kernel": moved}) != found()
  assert found(network={"bias": network["kernel"]}) != found()
