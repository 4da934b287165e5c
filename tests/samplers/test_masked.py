"""Masked decoding: order of uncovering, laws of the choices, known grids."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from pseudovideo import fields, keys
from pseudovideo.models import maskgit
from pseudovideo.samplers import masked
from tests.models import parameters

PHENAKI, MASKGIT = masked.PRESETS["phenaki"], masked.PRESETS["maskgit"]


def run(function, logits, decoding, **arguments):
  """Compiled `sample` or `trajectory`, as numpy."""
  key = arguments.pop("key")
  compiled = jax.jit(
    lambda key: function(logits, decoding, key=key, **arguments)
  )
  return np.asarray(compiled(key))


def test_presets_are_the_published_ones():
  assert (PHENAKI.steps, MASKGIT.steps) == (18, 12)
  np.testing.assert_allclose(
    PHENAKI.temperatures(), [0.9 * (17 - s) / 18 for s in range(18)]
  )
  np.testing.assert_array_equal(MASKGIT.temperatures(), np.ones(12))
  np.testing.assert_allclose(
    MASKGIT.choice_temperature * MASKGIT.left(),
    [4.5 * (1 - (s + 1) / 12) for s in range(12)],
    atol=1e-12,
  )
  assert PHENAKI.choice_temperature == 0
  assert PHENAKI.counts(64)[[0, 1, 2, -2, -1]].tolist() == [64, 64, 63, 11, 6]
  assert MASKGIT.counts(64)[[0, 1, 2, -2, -1]].tolist() == [64, 63, 61, 16, 8]


def mixing(codes):
  """A network in which every token moves the logits of its neighbours."""
  tables = np.random.default_rng(0).normal(size=(2, codes + 1, codes))

  def logits(x):
    left, right = jnp.float32(2 * tables)
    return left[jnp.roll(x, 1, axis=1)] + right[jnp.roll(x, -1, axis=1)]

  return logits


@pytest.mark.parametrize("preset", masked.PRESETS)
@pytest.mark.parametrize(("tokens", "steps"), [(1, 4), (17, 7), (27, 40)])
def test_every_token_is_uncovered_once_and_stays(key, preset, tokens, steps):
  decoding = dataclasses.replace(masked.PRESETS[preset], steps=steps)
  codes = 5
  states = run(
    masked.trajectory, mixing(codes), decoding, key=key, num=3, tokens=tokens,
    codes=codes,
  )  # fmt: skip
  assert states.shape == (3, steps + 1, tokens)
  hidden = states == codes
  assert hidden[:, 0].all() and not hidden[:, -1].any()
  # Masked from the first pass to some other without a break.
  assert (hidden[:, 1:] <= hidden[:, :-1]).all()
  counts = np.broadcast_to(decoding.counts(tokens), (3, steps))
  np.testing.assert_array_equal(hidden[:, :-1].sum(-1), counts)
  final = np.broadcast_to(states[:, -1:], states.shape)
  np.testing.assert_array_equal(states[~hidden], final[~hidden])
  assert states[:, -1].min() >= 0


def ordered(target, order, most, codes):
  """Knows the next `most` tokens in a secret order, and errs at later ones.

  It is a little less sure of its errors than of what it knows.
  """
  known, wrong = jax.nn.one_hot(
    jnp.stack([target, (target + 1) % codes]), codes
  )

  def logits(x):
    visible = jnp.sum(x < codes, axis=1)[:, None]
    sees = order[None] < visible + most
    return jnp.where(sees[..., None], 30 * known[None], 10 * wrong[None])

  return logits


@pytest.mark.parametrize(
  ("rule", "tokens", "steps"),
  [("phenaki", 20, 6), ("maskgit", 20, 6), ("phenaki", 30, 50)],
)
def test_a_known_rule_gives_the_known_grid(key, rule, tokens, steps):
  """The fewest passes suffice only if the surest tokens are kept."""
  decoding = masked.Decoding(rule, steps, temperature=0.5)
  uncovered = -np.diff(np.append(decoding.counts(tokens), 0))
  rng = np.random.default_rng(1)
  target = jnp.asarray(rng.integers(0, 9, tokens))
  order = jnp.asarray(rng.permutation(tokens))

  def final(most):
    logits = ordered(target, order, most, 9)
    return run(
      masked.sample, logits, decoding, key=key, num=4, tokens=tokens, codes=9
    )

  expected = np.broadcast_to(target, (4, tokens))
  np.testing.assert_array_equal(final(uncovered.max()), expected)
  if uncovered.max() > 1:
    assert (final(uncovered.max() - 1) != expected).any()


def constant(logits):
  """A network that always says the same, logits (N, K)."""
  rows = jnp.asarray(logits, jnp.float32)
  return lambda x: jnp.broadcast_to(rows[None], (len(x), *rows.shape))


def assert_law(values, law):
  """Integers `values` have the probabilities `law`."""
  seen = np.bincount(values, minlength=len(law))
  assert stats.chisquare(seen, np.array(law) * len(values)).pvalue > 1e-3


@pytest.mark.parametrize("temperature", [0.5, 3.0])
def test_drawn_codes_have_the_probabilities_of_the_temperature(
  key, temperature
):
  logits = np.array([0.0, -1.0, 2.0, 0.5, -np.inf])
  codes = masked.draw(
    jnp.broadcast_to(jnp.float32(logits)[None, None], (20_000, 1, 5)),
    temperature,
    key=key,
  )
  law = special.softmax(logits / temperature)
  assert (np.asarray(codes) < 4).all()
  assert_law(np.asarray(codes)[:, 0], law[:4])
  cold = masked.draw(jnp.float32(logits)[None, None], 0.0, key=key)
  assert cold.tolist() == [[2]]


def test_phenaki_chooses_at_temperature_one_and_cools_down(key):
  """Two tokens and passes; the first pass draws at 0.9 / 2.

  Drawn at the first place has probability 0.27 or 0.73, at the second 1/8: the
  first is kept. At temperature 0.45 its less probable code would have less than
  1/8. The last pass takes the most probable code.
  """
  logits = np.full((2, 8), -np.inf)
  logits[0, :2] = 0, 1
  logits[1] = np.where(np.arange(8) == 5, 1e-3, 0)
  states = run(
    masked.trajectory, constant(logits),
    dataclasses.replace(PHENAKI, steps=2), key=key, num=20_000, tokens=2,
    codes=8,
  )  # fmt: skip
  assert (states[:, 1, 1] == 8).all()
  assert_law(states[:, 1, 0], special.softmax([0, 1 / 0.45]))
  assert (states[:, 2, 1] == 5).all()


def test_choice_noise_keeps_tokens_in_proportion_to_their_probability(key):
  """To the power of 1 / temperature: the Gumbel-max theorem.

  Place i has c_i equally probable codes, and all but one are masked again.
  """
  choices, tokens, codes = np.array([6, 4, 3, 2, 1]), 5, 6
  logits = np.where(np.arange(codes) < choices[:, None], 0, -np.inf)
  decoding = masked.Decoding("maskgit", 4, 1.0, choice_temperature=2.0)
  assert decoding.counts(tokens)[1] == tokens - 1
  states = run(
    masked.trajectory, constant(logits), decoding, key=key, num=20_000,
    tokens=tokens, codes=codes,
  )  # fmt: skip
  kept = np.argmax(states[:, 1] < codes, axis=1)
  law = choices ** (-1 / (2.0 * 3 / 4))
  assert_law(kept, law / law.sum())
  # Which token was drawn has no part in it.
  assert_law(states[kept == 0, 1, 0], np.full(6, 1 / 6))
  assert_law(states[:, -1, 0], np.full(6, 1 / 6))


def test_a_token_masked_again_is_drawn_anew(key):
  """Two places with codes of probability 3/4 and 1/4, the surer is kept.

  Its code is the rare one if both are, in 1 of 16 cases; the other's is rare in
  1 of 4, whatever was drawn there before.
  """
  states = run(
    masked.trajectory, constant(np.log([[3, 1], [3, 1]])),
    masked.Decoding("maskgit", 2, 1.0), key=key, num=20_000, tokens=2, codes=2,
  )  # fmt: skip
  kept = states[:, 1] < 2
  kept_code, other = states[:, 2][kept], states[:, 2][~kept]
  law = np.outer([15 / 16, 1 / 16], [3 / 4, 1 / 4])
  assert_law(2 * kept_code + other, law.ravel())


def test_without_a_critic_early_errors_stay_and_with_one_they_go(key):
  """At first the network errs at five places, of which it is surest."""
  tokens, codes = 64, 9
  rng = np.random.default_rng(2)
  target = rng.integers(0, codes, tokens)
  places = rng.permutation(tokens)[:5]
  traps = np.isin(np.arange(tokens), places)
  right = np.eye(codes)[target] * np.where(traps, 10, 5)[:, None]
  wrong = np.eye(codes)[(target + 1) % codes] * 40.0
  first = jnp.float32(np.where(traps[:, None], wrong, right))
  later = jnp.float32(right)

  def logits(x):
    blank = jnp.all(x == codes, axis=1)[:, None, None]
    return jnp.where(blank, first[None], later[None])

  def critic(x):
    return 10.0 * (x != jnp.asarray(target)[None])

  decoding = masked.Decoding(steps=4, temperature=0.0)
  assert decoding.counts(tokens)[1] == tokens - 5
  arguments = dict(key=key, num=8, tokens=tokens, codes=codes)
  plain = run(masked.sample, logits, decoding, **arguments)
  np.testing.assert_array_equal(
    plain != target, np.broadcast_to(traps, plain.shape)
  )
  states = run(masked.trajectory, logits, decoding, critic=critic, **arguments)
  counts = np.broadcast_to([*decoding.counts(tokens), 0], (8, 5))
  np.testing.assert_array_equal((states == codes).sum(-1), counts)
  np.testing.assert_array_equal(
    states[:, -1], np.broadcast_to(target, (8, tokens))
  )


def test_a_critic_masks_kept_tokens_again(key):
  """Here always the first ones, whatever was kept."""
  decoding = masked.Decoding(steps=5)
  states = run(
    masked.trajectory, mixing(5), decoding, key=key, num=2, tokens=20, codes=5,
    critic=lambda x: jnp.broadcast_to(-2.0 * jnp.arange(20)[None], x.shape),
  )  # fmt: skip
  for s, count in enumerate(decoding.counts(20)):
    hidden = np.broadcast_to(np.arange(20) < count, (2, 20))
    np.testing.assert_array_equal(states[:, s] == 5, hidden)


def test_noise_of_the_critic_is_uniform_and_falls(key):
  """Scores d apart change places with probability (1 - d / w)^2 / 2.

  w is the range of the noise: 0.8 times 1/2 in the first of two passes.
  """
  states = run(
    masked.trajectory, mixing(3),
    masked.Decoding(steps=2, critic_noise=0.8), key=key, num=20_000, tokens=2,
    codes=3, critic=lambda x: jnp.zeros(x.shape) + jnp.float32([[0.1, 0]]),
  )  # fmt: skip
  second = (states[:, 1, 1] == 3).astype(int)
  flipped = (1 - 0.1 / 0.4) ** 2 / 2
  assert_law(second, [1 - flipped, flipped])


@pytest.mark.parametrize("judged", [False, True])
def test_one_pass_of_the_network_per_step(key, judged):
  calls = {"network": 0, "critic": 0}

  def count(name, x):
    del x
    calls[name] += 1

  def logits(x):
    jax.debug.callback(functools.partial(count, "network"), x)
    return mixing(5)(x)

  def critic(x):
    jax.debug.callback(functools.partial(count, "critic"), x)
    return x

  run(
    masked.sample, logits, PHENAKI, key=key, num=2, tokens=16, codes=5,
    critic=critic if judged else None,
  )  # fmt: skip
  jax.effects_barrier()
  assert calls == {"network": 18, "critic": 17 if judged else 0}


@pytest.fixture(scope="module")
def network():
  """A tiny network and critic: functions of ids."""
  net = maskgit.MaskGit(
    (2, 3, 4), codes=7, width=16, layers=1, heads=2, head_width=8
  )
  ids = jnp.zeros((1, 24), jnp.int32)
  drawn = parameters.drawn(net.init, ids, method="logits_and_scores")
  variables = {"params": jax.tree.map(jnp.asarray, drawn)}
  return (
    functools.partial(net.apply, variables),
    functools.partial(net.apply, variables, method="scores"),
  )


@pytest.mark.parametrize(
  ("preset", "judged"), [("phenaki", True), ("maskgit", False)]
)
def test_samples_do_not_notice_the_batch_size(key, network, preset, judged):
  logits, critic = network
  arguments = dict(tokens=24, codes=7, critic=critic if judged else None)
  decoding = dataclasses.replace(masked.PRESETS[preset], steps=6)
  whole = run(masked.sample, logits, decoding, key=key, num=64, **arguments)
  rows = keys.example_keys(key, 1, start=41)
  one = run(masked.sample, logits, decoding, key=rows, num=1, **arguments)
  np.testing.assert_array_equal(whole[41:42], one)
  assert len(np.unique(whole, axis=0)) > 1


def test_presets_are_possible():
  for preset in masked.PRESETS.values():
    fields.check(preset, "sampler")
