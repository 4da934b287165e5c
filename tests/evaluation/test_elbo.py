"""The bound of a run, measured on its held-out images."""

import dataclasses

import numpy as np
import pytest

from pseudovideo import runs
from pseudovideo.evaluation import elbo


class Task:
  """A bound that is known: the mean of the image, and its first pixel."""

  abilities = ("negative_elbo", "best_deltas")
  reconstruction_likelihood = "gaussian"

  def negative_elbo(self, params, extra, images, *, key):
    x = images.astype("float32")
    first = x[:, 0, 0, 0]
    levels = x[:, 0, :3, 0]
    return {
      "total": x.mean((1, 2, 3)) + params,
      "reconstruction": first,
      "prior": 2 * first,
      "levels": levels,
      "squared_errors": levels,
    }

  def best_deltas(self, errors):
    return np.sqrt(errors.mean(0))

  def negative_elbo_at(self, parts, deltas):
    return {**parts, "total": parts["total"] + deltas.sum()}


@pytest.fixture
def run(tiny_run):
  restored = runs.restore(tiny_run)
  return dataclasses.replace(restored, task=Task(), params=np.float32(3))


@pytest.mark.parametrize("batch_size", [7, 64])
def test_means_over_the_held_out_images(run, batch_size):
  config = dataclasses.replace(
    run.config,
    evaluate=dataclasses.replace(run.config.evaluate, batch_size=batch_size),
  )
  run = dataclasses.replace(run, config=config)
  found = elbo.measure(run)
  test = run.image_set.test_images.astype(np.float64)
  totals = test.mean((1, 2, 3)) + 3
  assert found["num_images"] == len(test) == 360
  assert found["negative_elbo"] == pytest.approx(totals.mean(), rel=1e-6)
  error = totals.std(ddof=1) / np.sqrt(360)
  assert found["standard_error"] == pytest.approx(error, rel=1e-5)
  assert found["prior"] == pytest.approx(2 * test[:, 0, 0, 0].mean())
  np.testing.assert_allclose(found["levels"], test[:, 0, :3, 0].mean(0))


def test_deltas_are_those_of_the_training_images(run):
  found = elbo.measure(run)
  train = run.image_set.train_images
  chosen = train[np.linspace(0, len(train) - 1, 250).astype(int)]
  expected = np.sqrt(chosen[:, 0, :3, 0].mean(0, dtype=np.float64))
  np.testing.assert_allclose(found["best_deltas"], expected, rtol=1e-6)
  gap = found["negative_elbo_at_best_deltas"] - found["negative_elbo"]
  assert gap == pytest.approx(expected.sum(), rel=1e-5)
  assert "360 held-out images; " in elbo.sentence(found)


def test_at_most_so_many_images(run):
  assert elbo.measure(run, 20)["num_images"] == 20


def test_the_definition_says_what_the_last_step_is(run):
  assert "no bound of a probability" in elbo.measure(run, 8)["definition"]
  run.task.reconstruction_likelihood = "bernoulli"
  assert "-log P(image)" in elbo.measure(run, 8)["definition"]


def test_a_real_run_has_one(tiny_run):
  run = runs.restore(tiny_run)
  found = elbo.measure(run, 16)
  assert len(found["levels"]) == run.task.levels - 1
  assert len(found["best_deltas"]) == run.task.levels
  assert found["negative_elbo_at_best_deltas"] < found["negative_elbo"]
  parts = found["reconstruction"] + found["prior"] + sum(found["levels"])
  assert found["negative_elbo"] == pytest.approx(parts, rel=1e-4)
