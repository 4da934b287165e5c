"""Counts of masked tokens, the law of masks, and closed forms of the losses."""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from pseudovideo import keys
from pseudovideo.losses import masked_tokens

# How many tokens are masked before each pass, as the published codes have it.
PHENAKI = {
  64: [64, 64, 63, 62, 60, 58, 55, 52, 49, 45, 41, 37, 32, 27, 22, 17, 11, 6],
  256: [256, 255, 252, 247, 241, 232, 222, 210, 196, 181, 165, 147, 128, 108,
        88, 66, 44, 22],
  576: [576, 574, 567, 556, 541, 522, 499, 472, 441, 407, 370, 330, 288, 243,
        197, 149, 100, 50],
}  # fmt: skip
MASKGIT = {
  64: [64, 63, 61, 59, 55, 50, 45, 38, 31, 24, 16, 8],
  256: [256, 253, 247, 236, 221, 203, 181, 155, 127, 97, 66, 33],
}
HALF = 8  # cos(pi/2 8/12) = 1/2, of which float32 arithmetic makes less.


def test_counts_are_the_published_ones():
  for tokens, published in PHENAKI.items():
    ours = masked_tokens.rounded_counts(tokens, 18)
    assert ours.tolist() == published
  for tokens, published in MASKGIT.items():
    exact = list(published)
    assert exact[HALF] == tokens // 2 - 1
    exact[HALF] = tokens // 2
    assert masked_tokens.floored_counts(tokens, 12).tolist() == exact


@given(st.integers(1, 3000), st.integers(1, 100))
def test_counts_are_those_of_the_formulas(tokens, steps):
  def product(r):
    if 3 * r == 2 * steps:
      return tokens / 2
    return tokens * math.sin(math.pi / 2 * (steps - r) / steps)

  rounded = masked_tokens.rounded_counts(tokens, steps).tolist()
  floored = masked_tokens.floored_counts(tokens, steps).tolist()
  assert rounded == [max(1, math.floor(product(r) + 0.5)) for r in range(steps)]
  assert floored[0] == tokens
  for r, (before, after) in enumerate(itertools.pairwise(floored), 1):
    assert after == max(1, min(before - 1, math.floor(product(r))))


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def draw(masking, num, tokens, key):
  return masking.draw(num, tokens, key=key)


def chi_square_of_subsets(masks, law):
  """p-value of the observed subsets of 4 places under `law` of their size."""
  subsets = list(itertools.product([False, True], repeat=4))[1:]
  seen = [(masks == np.array(subset)).all(axis=1).sum() for subset in subsets]
  expected = [
    len(masks) * law[sum(subset)] / math.comb(4, sum(subset))
    for subset in subsets
  ]
  possible = np.array(expected) > 0
  assert np.array(seen)[possible].sum() == len(masks)
  return stats.chisquare(
    np.array(seen)[possible], np.array(expected)[possible]
  ).pvalue


def test_all_masks_of_phenaki_are_as_frequent_as_they_should_be(key):
  # r = 0, 1, 2 of 3 mask 4, round(3.46) = 3 and 2 of 4 tokens.
  masks = draw(masked_tokens.Masking(steps=3), 30_000, 4, key)
  law = {1: 0, 2: 1 / 3, 3: 1 / 3, 4: 1 / 3}
  assert chi_square_of_subsets(np.asarray(masks), law) > 1e-3


def test_all_masks_of_maskgit_are_as_frequent_as_they_should_be(key):
  masks = draw(masked_tokens.Masking("maskgit"), 30_000, 4, key)
  # P(at most c) = P(cos(pi/2 u) <= c/4)
  at_most = 1 - 2 / np.pi * np.arccos(np.arange(5) / 4)
  law = dict(zip(range(1, 5), np.diff(at_most), strict=True))
  assert chi_square_of_subsets(np.asarray(masks), law) > 1e-3


@pytest.mark.parametrize("schedule", ["phenaki", "maskgit"])
def test_masks_at_the_size_of_the_paper(key, schedule):
  masking = masked_tokens.Masking(schedule)
  masks = draw(masking, 4000, 256, key)
  # A row has its own key, whatever the batch.
  one = draw(masking, 1, 256, keys.example_keys(key, 1, start=41))
  np.testing.assert_array_equal(masks[41:42], one)
  counts = np.asarray(masks).sum(axis=1)
  assert counts.min() >= 1 and counts.max() <= 256
  if schedule == "phenaki":
    found, times = np.unique(counts, return_counts=True)
    assert found.tolist() == sorted(PHENAKI[256])
    assert stats.chisquare(times).pvalue > 1e-3
  else:
    # The steps of the distribution of counts, by Kolmogorov and Smirnov.
    c = np.arange(257)
    at_most = 1 - 2 / np.pi * np.arccos(c / 256)
    seen = (counts[:, None] <= c).mean(axis=0)
    assert np.abs(seen - at_most).max() < 1.95 / np.sqrt(4000)
  # Every place is masked in the mean fraction of grids.
  places = np.asarray(masks).mean(axis=0)
  mean = counts.mean() / 256
  assert np.abs(places - mean).max() < 5 * np.sqrt(mean * (1 - mean) / 4000)


def test_smallest_of_each_row_first_of_equal_ones():
  x = jnp.float32([[3, 1, 2, 1], [0, 0, 0, 0], [4, 3, jnp.inf, 1]])
  chosen = jax.jit(masked_tokens.smallest)(x, jnp.array([2, 3, 0]))
  assert chosen.tolist() == [
    [False, True, False, True],
    [True, True, True, False],
    [False] * 4,
  ]


RNG = np.random.default_rng(0)
LOGITS = 3 * RNG.normal(size=(4, 6, 5))
IDS = RNG.integers(0, 5, (4, 6))
MASKED = RNG.random((4, 6)) < 0.5
MASKED[0], MASKED[1] = True, False
MASKED[2] = np.arange(6) == 3


def costs(smoothing=0.0):
  """-sum of target log p for every token, (4, 6) float64."""
  target = (1 - smoothing) * np.eye(5)[IDS] + smoothing / 5
  return -(target * special.log_softmax(LOGITS, axis=-1)).sum(-1)


cross_entropy = jax.jit(
  masked_tokens.cross_entropy, static_argnames="smoothing"
)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_of_masked_tokens_only(smoothing):
  value, weight = jax.device_get(
    cross_entropy(
      jnp.float32(LOGITS), np.uint8(IDS), MASKED, smoothing=smoothing
    )
  )
  every = costs(smoothing)
  np.testing.assert_array_equal(weight[:3], [6, 0, 1])
  np.testing.assert_allclose(value[0], every[0].mean(), rtol=1e-5)
  assert value[1] == 0
  np.testing.assert_allclose(value[2], every[2, 3], rtol=1e-5)
  # Over the batch it is the mean of all masked tokens, not of examples.
  np.testing.assert_allclose(
    np.sum(value * weight) / np.sum(weight), every[MASKED].mean(), rtol=1e-5
  )


def test_cross_entropy_of_no_knowledge_and_of_certainty():
  masked = np.ones((1, 6), bool)
  value, weight = cross_entropy(np.zeros((1, 6, 5), "f4"), IDS[:1], masked)
  np.testing.assert_allclose(value, np.log(5), rtol=1e-6)
  sure = np.float32(100 * np.eye(5)[IDS[:1]])
  assert cross_entropy(sure, IDS[:1], masked)[0] == 0
  # Sure of another code, the logits' distance is the price.
  wrong, _ = cross_entropy(sure, (IDS[:1] + 1) % 5, masked)
  assert wrong == 100 and weight == 6


def test_slope_of_the_cross_entropy_is_p_minus_the_target():
  def loss(logits):
    value, weight = cross_entropy(logits, IDS, MASKED)
    return jnp.sum(value * weight) / jnp.sum(weight)

  gradient = jax.jit(jax.grad(loss))(jnp.float32(LOGITS))
  expected = special.softmax(LOGITS, axis=-1) - np.eye(5)[IDS]
  expected *= MASKED[..., None] / MASKED.sum()
  np.testing.assert_allclose(gradient, expected, atol=1e-6)


def test_the_critic_learns_from_all_tokens():
  scores, wrong = LOGITS[..., 0], IDS == 0
  p = special.expit(scores)
  expected = -np.log(np.where(wrong, p, 1 - p)).mean(axis=1)
  ours = jax.jit(masked_tokens.critic)(np.float32(scores), wrong)
  np.testing.assert_allclose(ours, expected, rtol=1e-5)
