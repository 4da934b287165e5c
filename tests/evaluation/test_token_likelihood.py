"""How well tokens are predicted, against closed forms and scipy."""

import dataclasses
import json
import math

import jax
import numpy as np
import pytest
import scipy.stats

from configs import token_prior
from pseudovideo import data, runs
from pseudovideo.config import parsing
from pseudovideo.evaluation import token_likelihood
from pseudovideo.first_stages import given, look_up
from tests.models import video_gpt_reference as reference

NUM, TOKENS, CODES = 30, 64, 16


@pytest.fixture(scope="module")
def fresh(tiny_tokenizer_run, tmp_path_factory):
  """A run without a single update: its logits are zero."""
  raw = parsing.complete(token_prior.get_config("preset=tiny"))
  raw["tokenizer"]["workdir"] = str(tiny_tokenizer_run)
  raw["evaluate"]["batch_size"] = 12
  raw = look_up.look_up(parsing.parse(raw)).raw
  config, image_set = parsing.parse(raw), data.load("digits")
  task = config.make_task(image_set.image_shape)
  params, extra = given.init(task, jax.random.key(0), image_set)
  return runs.Run(
    workdir=tmp_path_factory.mktemp("fresh"),
    config=config,
    task=task,
    params=params,
    extra=extra,
    step=0,
    record=None,
    load_images=lambda: image_set,
  )


@pytest.fixture(scope="module")
def moved(fresh):
  """The same with other weights, so that tokens matter."""
  rng = np.random.default_rng(0)
  params = jax.tree.map(
    lambda p: p + 0.3 * rng.normal(size=p.shape).astype(np.float32),
    fresh.params,
  )
  return dataclasses.replace(fresh, params=params)


@pytest.fixture(scope="module")
def ids(tiny_tokenizer_run, fresh):
  """Of held-out images at even distances, (NUM, TOKENS)."""
  tokenizer = runs.restore(tiny_tokenizer_run)
  images = fresh.image_set.test_images
  chosen = images[np.linspace(0, len(images) - 1, NUM).astype(int)]
  encoded = jax.jit(tokenizer.task.encode)(
    tokenizer.params, tokenizer.extra, chosen, key=jax.random.key(0)
  )
  return np.asarray(encoded).reshape(NUM, -1)


def test_held_out_tokens_are_those_of_the_tokenizer(fresh, ids):
  found = token_likelihood.held_out_ids(fresh, NUM)
  np.testing.assert_array_equal(found, ids)
  everything = token_likelihood.held_out_ids(fresh, 10_000)
  assert everything.shape == (len(fresh.image_set.test_images), TOKENS)


def test_equal_probabilities_need_ln_k_nats(fresh, ids):
  found = token_likelihood.measure(fresh, NUM)
  assert found["nats_per_token"] == pytest.approx(math.log(CODES), rel=1e-6)
  assert found["uniform"] == math.log(CODES)
  assert found["standard_error"] < 1e-6
  # 4 bits for each of 64 tokens, for 64 pixels of one number.
  assert found["bits_per_dim"] == pytest.approx(4.0, rel=1e-6)
  _, counts = np.unique(ids, return_counts=True)
  assert found["frequencies"] == pytest.approx(scipy.stats.entropy(counts))
  assert 0 < found["frequencies"] < found["uniform"]
  assert (found["num_images"], found["tokens"]) == (NUM, TOKENS)
  assert found["split"] == "test"
  json.dumps(found, allow_nan=False)


def test_a_network_is_measured_by_its_conditionals(moved, ids):
  """Every grid by itself, in float64."""
  found = token_likelihood.measure(moved, NUM)
  network = jax.tree.map(
    lambda p: np.asarray(p, np.float64), moved.params["network"]
  )
  codebook = np.asarray(
    moved.extra["frozen"]["tokenizer"]["extra"]["state"]["quantizer"][
      "codebook"
    ]
  )
  nats = []
  for grid in ids:
    logits = reference.logits(codebook[grid], network, moved.task.network)
    log_p = reference.log_softmax(logits)
    nats.append(-log_p[np.arange(TOKENS), grid].mean())
  assert np.std(nats) > 0.01
  assert found["nats_per_token"] == pytest.approx(np.mean(nats), rel=1e-5)
  assert found["standard_error"] == pytest.approx(
    scipy.stats.sem(nats), rel=1e-3
  )
  assert found["bits_per_dim"] == pytest.approx(
    np.mean(nats) * 64 / 64 / math.log(2), rel=1e-5
  )
  said = token_likelihood.sentence(found)
  assert f"{found['nats_per_token']:.4f} +- " in said and "30 held-out" in said
  assert f"{math.log(CODES):.4f}" in said


def test_every_batch_and_row_counts_once(moved, ids):
  """The batch of 12 does not divide 30 images."""
  per_image = token_likelihood.per_image(moved, ids)
  assert per_image.shape == (NUM, TOKENS) and per_image.dtype == np.float64
  few = token_likelihood.per_image(moved, ids[[29, 3]])
  np.testing.assert_allclose(few, per_image[[29, 3]], atol=1e-5)


def test_all_wrong_tokens_together_have_the_rest_of_the_probability(moved, ids):
  """The last token's 16 alternatives sum to one, others left as they are."""
  grids = np.repeat(ids[:1], CODES, axis=0)
  grids[:, -1] = np.arange(CODES)
  log_p = token_likelihood.per_image(moved, grids)
  # Rows of two batches; logits are about 10, and 1e-5 is 80 times their eps.
  np.testing.assert_allclose(
    log_p[:, :-1], log_p[:1, :-1].repeat(CODES, 0), atol=1e-5
  )
  assert np.exp(log_p[:, -1]).sum() == pytest.approx(1, abs=1e-5)
