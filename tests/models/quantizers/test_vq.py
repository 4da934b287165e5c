"""Codebooks against float64 numpy: search, gradients, averages, restarts."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pseudovideo import keys
from pseudovideo.models.quantizers import common, vq

KINDS = {"cosine": vq.Cosine, "euclidean": vq.Euclidean}
CODES, WIDTH, SHAPE = 20, 6, (4, 3, 5, 6)
NUM = 60

both = pytest.mark.parametrize("name", KINDS)


def make(name, **fields):
  fields = {"codes": CODES, "width": WIDTH, "restart_below": 0.0} | fields
  quantizer = KINDS[name](**fields)
  return quantizer


def unit(x):
  return x / np.linalg.norm(x, axis=-1, keepdims=True)


def space(name, x):
  """The vectors that the quantizer compares, in float64."""
  x = np.asarray(x, np.float64)
  return unit(x) if name == "cosine" else x


def distances(x, codebook):
  return np.square(x[..., None, :] - codebook).sum(-1)


@functools.cache
def _quantize(name):
  return jax.jit(make(name).quantize)


def quantize(name, state, z):
  return _quantize(name)({}, state, z)


def state_of(name, seed=1):
  """A codebook as spread as the vectors."""
  codes = np.random.default_rng(seed).normal(size=(CODES, WIDTH))
  codes = jnp.asarray(space(name, codes), jnp.float32)
  return {"codebook": codes, "counts": jnp.ones((CODES,)), "sums": codes}


@pytest.fixture(scope="module")
def z():
  return jnp.asarray(np.random.default_rng(0).normal(size=SHAPE), jnp.float32)


@pytest.fixture(scope="module")
def outcomes(z):
  """Per kind: what is quantized, and two gradients with respect to z."""

  def run(quantizer, state):
    def values(z):
      quantized = quantizer.quantize({}, state, z)
      return jnp.sum(quantized.values * weights()), quantized

    def commitment(z):
      return jnp.sum(quantizer.quantize({}, state, z).commitment)

    through, quantized = jax.grad(values, has_aux=True)(z)
    return quantized, through, jax.grad(commitment)(z)

  return {
    name: jax.device_get(jax.jit(lambda n=name: run(make(n), state_of(n)))())
    for name in KINDS
  }


def weights():
  return jnp.asarray(np.random.default_rng(5).normal(size=SHAPE), jnp.float32)


@both
def test_nearest_code_by_brute_force(name, z, outcomes):
  quantized = outcomes[name][0]
  codebook = np.asarray(state_of(name)["codebook"], np.float64)
  away = distances(space(name, z), codebook)
  ordered = np.sort(away, axis=-1)
  assert (ordered[..., 1] - ordered[..., 0]).min() > 1e-4, "no ties in here"
  np.testing.assert_array_equal(quantized.ids, away.argmin(-1))
  assert quantized.ids.dtype == np.int32
  np.testing.assert_allclose(
    quantized.commitment, ordered[..., 0].mean((1, 2)) / WIDTH, rtol=1e-5
  )
  assert quantized.entropy is None


@both
def test_values_are_codes_bit_for_bit(name, outcomes):
  quantized, state = outcomes[name][0], state_of(name)
  codebook = np.asarray(state["codebook"])
  np.testing.assert_array_equal(quantized.values, codebook[quantized.ids])
  found = make(name).lookup({}, state, jnp.asarray(quantized.ids[1:]))
  np.testing.assert_array_equal(found, quantized.values[1:])


@both
def test_equally_near_codes_give_the_lowest_id(name, z):
  state = state_of(name)
  twice = jnp.tile(state["codebook"][:5], (4, 1))
  quantized = quantize(name, state | {"codebook": twice}, z)
  away = distances(space(name, z), np.asarray(twice[:5], np.float64))
  np.testing.assert_array_equal(quantized.ids, away.argmin(-1))


def through_normalisation(z, gradient):
  """g -> (I - u u^T) g / |z|, the Jacobian of z / |z|."""
  z, u = np.asarray(z, np.float64), space("cosine", z)
  along = (u * gradient).sum(-1, keepdims=True) * u
  return (gradient - along) / np.linalg.norm(z, axis=-1, keepdims=True)


def test_euclidean_gradient_passes_unchanged(outcomes):
  np.testing.assert_array_equal(outcomes["euclidean"][1], weights())


def test_cosine_gradient_passes_the_normalisation(z, outcomes):
  expected = through_normalisation(z, np.asarray(weights(), np.float64))
  np.testing.assert_allclose(
    outcomes["cosine"][1], expected, rtol=1e-4, atol=1e-6
  )


@both
def test_commitment_pulls_the_input_to_its_code(name, z, outcomes):
  quantized, _, gradient = outcomes[name]
  x = space(name, z)
  expected = 2 * (x - quantized.values) / np.prod(SHAPE[1:])
  if name == "cosine":
    expected = through_normalisation(z, expected)
  np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-7)


@both
def test_codes_get_no_gradient(name, z):
  def loss(codebook):
    state = state_of(name) | {"codebook": codebook}
    quantized = make(name).quantize({}, state, z)
    return jnp.sum(quantized.values * weights()) + quantized.commitment.sum()

  assert not jax.jit(jax.grad(loss))(state_of(name)["codebook"]).any()


def test_a_zero_vector_does_not_break_the_cosine(z):
  quantized = quantize("cosine", state_of("cosine"), z.at[0].set(0))
  assert np.isfinite(quantized.values).all()
  np.testing.assert_allclose(quantized.commitment[0], 1 / WIDTH, rtol=1e-5)


@both
def test_bfloat16_vectors_are_compared_in_float32(name, z):
  low = z.astype(jnp.bfloat16)
  quantized = quantize(name, state_of(name), low)
  codebook = np.asarray(state_of(name)["codebook"], np.float64)
  away = distances(space(name, low.astype(jnp.float32)), codebook)
  np.testing.assert_array_equal(quantized.ids, away.argmin(-1))
  assert quantized.values.dtype == jnp.float32


@both
def test_start(name, key):
  quantizer = make(name, codes=512, width=32)
  params, state = jax.jit(quantizer.init)(key)
  assert params == {} and set(state) == {"codebook", "counts", "sums"}
  codebook = np.asarray(state["codebook"], np.float64)
  assert codebook.shape == (512, 32) and (state["counts"] == 1).all()
  np.testing.assert_array_equal(state["sums"], state["codebook"])
  norms = np.linalg.norm(codebook, axis=1)
  if name == "cosine":
    np.testing.assert_allclose(norms, 1, rtol=1e-6)
  else:
    bound = np.sqrt(6 / codebook.size)
    assert 0.999 * bound < np.abs(codebook).max() <= bound
    assert norms.mean() == pytest.approx(np.sqrt(2 / 512), rel=0.02)
  assert np.abs(codebook.mean(0)).max() < 0.2 * codebook.std() * np.sqrt(3)


def reference_update(name, state, x, ids, decay, eps):
  """One update, code by code."""
  new = {k: np.asarray(v, np.float64).copy() for k, v in state.items()}
  for k in range(CODES):
    mine = x[ids == k]
    new["counts"][k] = decay * new["counts"][k] + (1 - decay) * len(mine)
    new["sums"][k] = decay * new["sums"][k] + (1 - decay) * mine.sum(0)
  whole = new["counts"].sum()
  for k in set(ids.ravel()):
    smoothed = (new["counts"][k] + eps) * whole / (whole + CODES * eps)
    new["codebook"][k] = space(name, new["sums"][k] / smoothed)
  return new


@both
def test_averages_follow_a_loop_in_float64(name, key):
  decay = 0.8
  quantizer = make(name, decay=decay, eps=1e-2)
  update = jax.jit(quantizer.update)
  state = reference = state_of(name)
  rng = np.random.default_rng(3)
  for _ in range(20):
    z = jnp.asarray(rng.normal(size=SHAPE), jnp.float32)
    # Some codes are never chosen, some only now and then.
    ids = np.minimum(rng.geometric(0.2, SHAPE[:-1]), CODES - 4) - 1
    state = update(state, z, jnp.asarray(ids), key)
    reference = reference_update(
      name, reference, space(name, z), ids, decay, 1e-2
    )
  assert (reference["codebook"] == state_of(name)["codebook"]).all(1).any()
  for part, value in reference.items():
    np.testing.assert_allclose(state[part], value, rtol=1e-5, atol=2e-6)


@both
def test_constant_batches_have_a_closed_form(name, z, key):
  decay, eps, times = 0.9, 1e-3, 40
  quantizer = make(name, decay=decay, eps=eps)
  start = state_of(name)
  ids = jnp.arange(NUM).reshape(SHAPE[:-1]) % (CODES // 2)
  update = jax.jit(quantizer.update)
  state = start
  for _ in range(times):
    state = update(state, z, ids, key)
  kept, x = decay**times, space(name, z).reshape(-1, WIDTH)
  per_code = NUM // (CODES // 2)
  # Code k has the vectors k, k + 10, k + 20, ...
  total = x.reshape(per_code, CODES // 2, WIDTH).sum(0)
  counts = np.full(CODES, kept)
  counts[: CODES // 2] += (1 - kept) * per_code
  sums = kept * np.asarray(start["sums"], np.float64)
  sums[: CODES // 2] += (1 - kept) * total
  whole = counts.sum()
  smoothed = (counts + eps) * whole / (whole + CODES * eps)
  codebook = space(name, sums / smoothed[:, None])
  codebook[CODES // 2 :] = start["codebook"][CODES // 2 :]
  np.testing.assert_allclose(state["counts"], counts, rtol=1e-5)
  np.testing.assert_allclose(state["sums"], sums, rtol=1e-5, atol=1e-6)
  np.testing.assert_allclose(state["codebook"], codebook, rtol=1e-5, atol=1e-6)


@both
def test_unused_codes_stay_after_hundreds_of_updates(name, z, key):
  quantizer, start = make(name, decay=0.8), state_of(name)
  ids = jnp.zeros(SHAPE[:-1], jnp.int32)

  @jax.jit
  def many(state):
    return jax.lax.fori_loop(
      0, 600, lambda _, s: quantizer.update(s, z, ids, key), state
    )

  state = many(start)
  np.testing.assert_array_equal(state["codebook"][1:], start["codebook"][1:])
  assert np.isfinite(state["codebook"]).all()
  # Chosen again after its counts have vanished: at the mean of its vectors.
  state = jax.jit(quantizer.update)(state, z, ids + 7, key)
  mean = space(name, space(name, z).reshape(-1, WIDTH).mean(0))
  np.testing.assert_allclose(state["codebook"][7], mean, rtol=1e-3, atol=1e-5)


BELOW = 1.5


@pytest.fixture(scope="module")
def restarted(z):
  """Per kind: the state without restarts, and with, for two keys.

  The ids are those of `quantize`, so that some counts are below and some not.
  """
  results = {}
  for name in KINDS:
    off, on = make(name, decay=0.5), make(name, decay=0.5, restart_below=BELOW)
    state = state_of(name)
    ids = quantize(name, state, z).ids
    update = jax.jit(on.update)
    results[name] = (
      jax.device_get(jax.jit(off.update)(state, z, ids, jax.random.key(0))),
      [
        jax.device_get(update(state, z, ids, jax.random.key(k)))
        for k in (0, 0, 1)
      ],
    )
  return results


@both
def test_no_dead_code_survives_and_live_ones_are_untouched(name, restarted):
  before, (after, _, _) = restarted[name]
  dead = before["counts"] < BELOW
  assert 3 < dead.sum() < CODES - 3
  assert (after["counts"] >= BELOW).all()
  for part in ("codebook", "counts", "sums"):
    live = ~dead
    np.testing.assert_allclose(
      after[part][live], before[part][live], rtol=1e-6, atol=1e-7
    )
  assert (after["counts"][dead] == BELOW).all()
  np.testing.assert_allclose(
    after["sums"][dead], BELOW * after["codebook"][dead], rtol=1e-6
  )


@both
def test_restarting_leaves_live_codes_bit_for_bit(name, z):
  state = state_of(name) | {"counts": jnp.arange(CODES) * 0.5}
  fresh = z.reshape(-1, WIDTH)[:CODES]
  after = make(name, restart_below=3.0)._restart(state, fresh)
  for part, value in state.items():
    np.testing.assert_array_equal(after[part][6:], value[6:])
    assert (np.asarray(after[part][:6]) != value[:6]).all()


@both
def test_replaced_codes_are_distinct_vectors_of_the_batch(name, z, restarted):
  before, (after, _, _) = restarted[name]
  dead = before["counts"] < BELOW
  x = space(name, z).reshape(-1, WIDTH)
  away = distances(after["codebook"][dead].astype(np.float64), x)
  assert away.min(1).max() < 1e-12
  assert len(set(away.argmin(1))) == dead.sum()
  if name == "cosine":
    norms = np.linalg.norm(after["codebook"].astype(np.float64), axis=1)
    np.testing.assert_allclose(norms, 1, rtol=1e-6)


@both
def test_restarts_depend_on_the_key_only(name, restarted):
  before, (first, again, other) = restarted[name]
  dead = before["counts"] < BELOW
  for part in first:
    np.testing.assert_array_equal(first[part], again[part])
  assert (first["codebook"][dead] != other["codebook"][dead]).any(
    1
  ).mean() > 0.5


def test_keys_of_the_examples_may_be_given(z, key, restarted):
  quantizer = make("cosine", decay=0.5, restart_below=BELOW)
  state = state_of("cosine")
  ids = quantize("cosine", state, z).ids
  rows = keys.example_keys(key, SHAPE[0])
  given = jax.jit(quantizer.update)(state, z, ids, rows)
  expected = restarted["cosine"][1][0]["codebook"]
  # The same vectors are drawn. Another program adds up to 60 of them in another
  # order, with 60 roundings by 6e-8.
  np.testing.assert_allclose(given["codebook"], expected, rtol=0, atol=4e-6)


@both
def test_a_batch_smaller_than_the_codebook_is_used_evenly(name, z, key):
  quantizer = make(name, restart_below=100.0)
  few = z[:1, :1]
  ids = jnp.zeros(few.shape[:-1], jnp.int32)
  state = jax.jit(quantizer.update)(state_of(name), few, ids, key)
  x = space(name, few).reshape(-1, WIDTH)
  away = distances(np.asarray(state["codebook"], np.float64), x)
  assert away.min(1).max() < 1e-12
  assert (np.bincount(away.argmin(1)) == CODES // len(x)).all()


def test_every_vector_is_drawn_equally_often(key):
  """2000 shuffles of 12 vectors, of which 3 are taken."""
  x = jnp.arange(12.0).reshape(3, 4, 1)
  draw = jax.jit(jax.vmap(lambda k: vq._shuffled(x, 3, k)))
  drawn = np.asarray(draw(jax.random.split(key, 2000))).astype(int)
  expected, deviation = 500, np.sqrt(2000 * 0.25 * 0.75)
  counts = np.bincount(drawn.ravel(), minlength=12)
  assert np.abs(counts - expected).max() < 4.5 * deviation


def clustered(seed, clusters=16, width=16, each=32):
  """Tight clusters that all lie on one side, as features of images do."""
  rng = np.random.default_rng(seed)
  centres = rng.normal(size=(clusters, width)) + 2.0
  labels = np.repeat(np.arange(clusters), each)
  noise = 0.05 * rng.normal(size=(len(labels), width))
  return jnp.asarray(centres[labels] + noise, jnp.float32), labels


def trained(name, restart_below, seed):
  """Number of clusters that own their codes, after 40 updates; usage."""
  quantizer = make(name, codes=64, width=16, restart_below=restart_below)
  x, labels = clustered(seed)

  def step(state, key):
    ids = quantizer.quantize({}, state, x).ids
    return quantizer.update(state, x, ids, key), None

  @jax.jit
  def run(key):
    _, state = quantizer.init(key)
    state, _ = jax.lax.scan(step, state, jax.random.split(key, 40))
    return quantizer.quantize({}, state, x).ids

  ids = np.asarray(run(jax.random.key(seed)))
  owners = [set(labels[ids == k]) for k in set(ids)]
  alone = set().union(*(o for o in owners if len(o) == 1))
  return len(alone), float(common.usage(jnp.asarray(ids), 64)["codes_used"])


@both
def test_restarts_reach_all_clusters_and_nothing_else_does(name):
  found, used = trained(name, 2.0, 0)
  assert found == 16 and used > 32
  found, used = trained(name, 0.0, 0)
  assert found < 8 and used < 16
