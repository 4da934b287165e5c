"""Tokens drawn one by one: known rules, truncation by brute force, keys."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from pseudovideo import errors, keys
from pseudovideo.samplers import tokens

K = 11


def grow(history, length):
  """The cache of the fakes: (B, length) ids, -1 where there is none yet."""
  new = (0, length - history.shape[1])
  return jnp.pad(history, ((0, 0), new), constant_values=-1)


def certain(ids):
  """Logits that leave no choice."""
  return jnp.where(jax.nn.one_hot(ids, K) > 0, 0.0, -1e9)


def run(step, num, length, *, key=None, segments=1, **settings):
  settings |= dict(num=num, length=length, segments=segments)
  empty = jnp.zeros((num, 0), jnp.int32)
  sample = jax.jit(
    lambda key: tokens.sample(step, grow, empty, key=key, **settings)
  )
  return np.asarray(sample(jax.random.key(0) if key is None else key))


@pytest.mark.parametrize("segments", [3, 50])
def test_a_known_rule_gives_the_known_sequence(segments):
  """Token n is a weighted sum of all before it: each must be in its place."""
  length = 7

  def step(history, previous, position):
    history = history.at[:, position].set(previous)
    at = jnp.arange(history.shape[1])
    # Slot i + 1 holds token i; slot 0 holds what came before the first token.
    known = (at >= 1) & (at <= position)
    total = jnp.sum(jnp.where(known[None], (at[None] + 2) * history, 0), axis=1)
    rows = jnp.arange(len(history))
    return certain((total + rows + position + 1) % K), history

  expected = np.zeros((3, length), int)
  for row, n in np.ndindex(3, length):
    total = sum((i + 3) * expected[row, i] for i in range(n))
    expected[row, n] = (total + row + n + 1) % K
  found = run(step, 3, length, segments=segments)
  np.testing.assert_array_equal(found, expected)
  assert found.dtype == np.int32


@pytest.mark.parametrize(
  "segments, expected", [(1, [8] * 8), (3, [2, 2, 5, 5, 5, 8, 8, 8])]
)
def test_the_cache_is_no_longer_than_its_segment_needs(segments, expected):
  def step(history, previous, position):
    return certain(jnp.full(len(history), history.shape[1])), history

  found = run(step, 2, 8, segments=segments)
  np.testing.assert_array_equal(found, [expected] * 2)


def test_segments_cover_every_position_once():
  for length, segments in itertools.product((1, 2, 9, 64, 576), (1, 3, 8)):
    ends = tokens.bounds(length, segments)
    covered = [n for a, b in itertools.pairwise(ends) for n in range(a, b)]
    assert covered == list(range(length))
    sizes = np.diff(ends)
    assert sizes.max() - sizes.min() <= 1 and len(sizes) <= segments


def test_the_cost_is_what_the_module_says():
  for segments in (1, 2, 8):
    ends = tokens.bounds(256, segments)
    attended = sum(b * (b - a) for a, b in itertools.pairwise(ends))
    assert attended / 256 == 256 * (segments + 1) / (2 * segments)


TABLE = 2 * np.random.default_rng(0).normal(size=(K, K)).astype(np.float32)


def markov(history, previous, position):
  """Logits that depend on the token before."""
  return jnp.asarray(TABLE)[previous], history


def test_temperature_zero_takes_the_most_likely():
  found = run(markov, 2, 6, sampler=tokens.TokenSampler(temperature=0))
  expected, last = [], 0
  for _ in range(6):
    last = int(TABLE[last].argmax())
    expected.append(last)
  np.testing.assert_array_equal(found, [expected] * 2)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_frequencies_are_those_of_the_chain(temperature):
  num = 20_000
  sampler = tokens.TokenSampler(temperature=temperature)
  found = run(markov, num, 2, sampler=sampler)
  p = special.softmax(TABLE.astype(np.float64) / temperature, axis=1)
  expected = num * p[0][:, None] * p
  counts = np.zeros((K, K))
  np.add.at(counts, (found[:, 0], found[:, 1]), 1)
  assert (np.abs(counts - expected) < 5 * np.sqrt(expected) + 5).all()


def test_rows_depend_on_their_keys_only():
  rows = keys.example_keys(jax.random.key(1), 64)
  many = run(markov, 64, 20, key=rows)
  assert len(np.unique(many, axis=0)) == 64
  for row in (0, 5, 63):
    alone = run(markov, 1, 20, key=rows[row : row + 1])
    np.testing.assert_array_equal(alone[0], many[row])
  # A scalar key stands for the keys derived from it.
  np.testing.assert_array_equal(run(markov, 3, 20, key=jax.random.key(1)),
                                many[:3])  # fmt: skip


def test_steps_draw_from_keys_of_their_own():
  """Equal logits at every step; equal noise would repeat one token."""

  def flat(history, previous, position):
    return jnp.zeros((len(history), K)), history

  found = run(flat, 500, 8)
  for a, b in itertools.combinations(range(8), 2):
    equal = np.mean(found[:, a] == found[:, b])
    assert abs(equal - 1 / K) < 5 * np.sqrt(1 / K / 500), (a, b)


def brute_force(logits, top_k, top_p):
  """The tokens that can be drawn: taken one by one, most likely first."""
  order = sorted(range(len(logits)), key=lambda i: -logits[i])
  order = order[: top_k or len(order)]
  p = special.softmax(np.float64(logits)[order])
  kept, total = [], 0.0
  for i, probability in zip(order, p, strict=True):
    if top_p < 1 and total >= top_p:
      break
    kept.append(i)
    total += probability
  return set(kept)


@pytest.mark.parametrize("top_k", [0, 1, 4, 40])
def test_truncation_is_that_of_brute_force(top_k):
  logits = 3 * np.random.default_rng(2).normal(size=(50, 40))
  logits = logits.astype(np.float32)
  for top_p in (1e-6, 0.3, 0.9, 0.999, 1.0):
    ours = np.asarray(tokens.truncate(jnp.asarray(logits), top_k, top_p))
    for row in range(50):
      kept = set(np.flatnonzero(np.isfinite(ours[row])).tolist())
      assert kept == brute_force(logits[row], top_k, top_p)
    np.testing.assert_array_equal(ours[np.isfinite(ours)],
                                  logits[np.isfinite(ours)])  # fmt: skip


def test_truncation_keeps_what_is_as_likely_as_the_last_one():
  logits = jnp.log(jnp.array([[0.4, 0.2, 0.2, 0.1, 0.1]]))
  for top_k, top_p in [(2, 1.0), (0, 0.5)]:
    kept = np.isfinite(tokens.truncate(logits, top_k, top_p))
    np.testing.assert_array_equal(kept, [[True, True, True, False, False]])


def test_truncated_draws_follow_what_is_left():
  num = 20_000
  logits = np.broadcast_to(TABLE[:1], (num, K))
  sampler = tokens.TokenSampler(temperature=2.0, top_k=6, top_p=0.8)
  # Not constants of the program: XLA would sort them while it compiles.
  draw = jax.jit(lambda logits, key: tokens.draw(logits, sampler, key))
  found = draw(logits, jax.random.key(2))
  tempered = TABLE[0].astype(np.float64) / 2
  kept = sorted(brute_force(tempered, 6, 0.8))
  assert 1 < len(kept) < 6
  expected = np.zeros(K)
  expected[kept] = num * special.softmax(tempered[kept])
  counts = np.bincount(np.asarray(found), minlength=K)
  assert (np.abs(counts - expected) <= 5 * np.sqrt(expected)).all()


@pytest.mark.parametrize(
  "fields, words",
  [
    (dict(temperature=1e-9), "must be 0, or at least 1e-06; got 1e-09"),
    (dict(top_k=12), "at most the 11 codes, or 0 for all of them; got 12"),
  ],
)
def test_impossible_fields_are_refused(fields, words):
  with pytest.raises(errors.UserError, match=words):
    tokens.TokenSampler(**fields).check(K)


def test_possible_fields_are_not():
  tokens.TokenSampler(temperature=0, top_k=K, top_p=0.01).check(K)
