"""VideoGPT against numpy in float64, its cache, likelihood, sizes."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pseudovideo import errors, keys
from pseudovideo.models import video_gpt
from pseudovideo.samplers import tokens
from tests.models import parameters
from tests.models import video_gpt_reference as reference

TINY = video_gpt.VideoGPT(
  grid=(2, 2, 3), codes=7, code_width=5, width=12, layers=2, heads=2
)
N = 12
NETS = {
  "codes": TINY,
  "learned, one frame": TINY.clone(
    embedding="learned", grid=(1, 3, 4), layers=1
  ),
}


def test_parameter_counts_are_the_published_ones(key):
  for grid, width, published in [
    ((1, 8, 8), 144, 2_224_608),
    ((9, 16, 16), 144, 2_225_760),
    ((4, 8, 8), 576, 32_786_880),
  ]:
    net = video_gpt.VideoGPT(grid=grid, width=width)
    net.check()
    vectors = jnp.zeros((1, net.num_tokens, 512))
    shapes = jax.eval_shape(net.init, key, vectors)["params"]
    assert sum(s.size for s in jax.tree.leaves(shapes)) == published


def drawn(net, num, seed=0):
  """Tokens of `num` grids, as the network takes them."""
  rng = np.random.default_rng(seed)
  if net.embedding == "learned":
    return rng.integers(net.codes, size=(num, net.num_tokens))
  shape = (num, net.num_tokens, net.code_width)
  return rng.normal(size=shape).astype(np.float32)


def noisy(net):
  params = parameters.drawn(net.init, drawn(net, 1))
  return jax.tree.map(jnp.asarray, params)  # Tables are read at traced places.


@pytest.fixture(scope="module", params=NETS.values(), ids=NETS.keys())
def made(request):
  """Network, parameters, two grids, the compiled full pass, its logits."""
  net = request.param
  net.check()
  params, x = noisy(net), drawn(net, 2)
  apply = jax.jit(net.apply)
  full = functools.partial(apply, {"params": params})
  return net, params, x, full, np.asarray(full(x))


def relative_error(ours, expected):
  return np.abs(np.asarray(ours) - expected).max() / np.abs(expected).max()


def test_network_is_its_definition(made):
  net, params, x, _, logits = made
  assert logits.shape == (2, N, 7) and logits.dtype == np.float32
  numbers = jax.tree.map(lambda p: np.asarray(p, np.float64), params)
  for row in range(2):
    expected = reference.logits(x[row], numbers, net)
    assert relative_error(logits[row], expected) < 1e-5


def test_logits_see_only_tokens_before_them(made):
  _, _, x, full, logits = made
  for i in range(N):
    changed = x.copy()
    changed[1, i:] = x[1, i:] + 1 if x.ndim == 3 else (x[1, i:] + 1) % 7
    after = np.asarray(full(changed))
    np.testing.assert_array_equal(after[0], logits[0])
    np.testing.assert_array_equal(after[1, : i + 1], logits[1, : i + 1])
    difference = np.abs(after[1, i + 1 :] - logits[1, i + 1 :])
    assert (difference.max(-1) > 1e-3).all(), i


def test_steps_with_a_cache_give_the_logits_of_the_full_pass(made):
  net, params, x, _, logits = made
  step = jax.jit(functools.partial(net.apply, method="step"))
  params = {"params": params}
  cache, start = net.empty_cache(2), 0
  for length in (5, N):
    cache = video_gpt.grow_cache(cache, length)
    for position in range(start, length):
      # What is given as the token before the first must not matter.
      ours, cache = step(params, cache, x[:, position - 1], position)
      np.testing.assert_allclose(ours, logits[:, position], atol=1e-5)
    start = length
  assert {part.shape for part in jax.tree.leaves(cache)} == {(2, 2, N, 6)}


@pytest.mark.parametrize("made", [TINY], indirect=True, ids=["codes"])
def test_bfloat16_is_close_and_keeps_float32_parameters(made):
  net, params, x, _, logits = made
  low = net.clone(dtype="bfloat16")
  ours = jax.jit(low.apply)({"params": params}, x)
  assert ours.dtype == jnp.float32
  assert 0 < relative_error(ours, logits) < 0.1
  shapes = jax.eval_shape(low.init, jax.random.key(0), x)["params"]
  assert {s.dtype for s in jax.tree.leaves(shapes)} == {jnp.dtype("float32")}
  parts = jax.tree.leaves(low.empty_cache(2))
  assert {part.dtype for part in parts} == {jnp.dtype("bfloat16")}


def test_the_epsilon_of_the_norm_is_outside_the_root(key):
  """Inside, it would halve small inputs; outside, it doubles large ones."""
  x = np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32)
  norm = jax.jit(lambda x: video_gpt.Norm().init_with_output(key, x)[0])
  fresh = {"scale": np.ones(8), "bias": np.zeros(8)}
  for scale in (1e-4, 1.0, 1e5):
    ours = norm(np.float32(scale) * x)
    expected = reference.norm(np.float64(np.float32(scale) * x), fresh)
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-5)


def test_the_norm_of_equal_numbers_is_finite(key):
  def total(x):
    return video_gpt.Norm().init_with_output(key, x)[0].sum()

  value, gradient = jax.jit(jax.value_and_grad(total))(jnp.full((2, 8), 3.0))
  assert value == 0 and np.isfinite(gradient).all()


def test_initial_values_are_the_published_ones():
  net = video_gpt.VideoGPT(grid=(20, 20, 20), codes=5, width=96, layers=3)
  x = jnp.zeros((1, 8000, 512))
  key = jax.random.key(0, impl="rbg")  # Compiles five times as fast.
  used = ["block_2", "embed", "start", "out"]
  used += [f"place_{axis}" for axis in "thw"]
  variables = jax.jit(
    lambda k: {name: net.init(k, x)["params"][name] for name in used}
  )(key)
  flat = jax.tree_util.tree_leaves_with_path(variables["block_2"])
  block = {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in flat}
  expected = {
    "['attention']['query_key_value']['kernel']": 96**-0.5,
    "['attention']['out']['kernel']": (3 * 96) ** -0.5,
    "['up']['kernel']": (3 * 96) ** -0.5,
    "['down']['kernel']": (3 * 4 * 96) ** -0.5,
  }
  for name, std in expected.items():
    assert abs(block[name].std() / std - 1) < 0.03, name
  assert abs(variables["embed"]["kernel"].std() / 0.02 - 1) < 0.02
  assert abs(variables["start"].std() / 0.02 - 1) < 0.3
  for axis in "thw":
    assert abs(variables[f"place_{axis}"].std() / 0.01 - 1) < 0.1
  assert not variables["out"]["kernel"].any()


SMALL = video_gpt.VideoGPT(
  grid=(1, 2, 2), codes=3, code_width=4, width=12, layers=2, heads=2
)
CODEBOOK = np.random.default_rng(5).normal(size=(3, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def all_grids():
  """Parameters, all 3^4 grids of ids, their log-likelihoods per token."""
  params = noisy(SMALL)
  ids = jnp.asarray(list(itertools.product(range(3), repeat=4)))
  logits = jax.jit(SMALL.apply)({"params": params}, CODEBOOK[ids])
  log_p = np.asarray(video_gpt.log_likelihood(logits, ids))
  return params, np.asarray(ids), log_p


def step_of(net, params, codebook):
  """The step as the sampler calls it."""

  def step(cache, previous, position):
    return net.apply(
      {"params": params}, cache, codebook[previous], position, method="step"
    )

  return step


def draw(net, params, codebook, key, **settings):
  num = key.shape[0]
  return tokens.sample(
    step_of(net, params, jnp.asarray(codebook)),
    video_gpt.grow_cache,
    net.empty_cache(num),
    num=num,
    length=net.num_tokens,
    key=key,
    **settings,
  )


def test_probabilities_of_all_grids_sum_to_one(all_grids):
  p = np.exp(all_grids[2].astype(np.float64).sum(1))
  assert abs(p.sum() - 1) < 1e-5
  assert p.max() > 3 * p.min(), "the test would say little of equal ones"


def test_log_likelihood_is_the_sum_of_the_conditionals(all_grids):
  params, ids, ours = all_grids
  step = jax.jit(step_of(SMALL, params, jnp.asarray(CODEBOOK)))
  cache = video_gpt.grow_cache(SMALL.empty_cache(81), 4)
  expected = np.zeros(81)
  for n in range(4):
    logits, cache = step(cache, ids[:, n - 1], n)
    log_p = reference.log_softmax(np.float64(logits))
    expected += log_p[np.arange(81), ids[:, n]]
  np.testing.assert_allclose(ours.sum(1), expected, atol=1e-5)


def test_samples_have_the_likelihoods_of_the_model(all_grids):
  params, ids, log_p = all_grids
  num = 20_000
  rows = keys.example_keys(jax.random.key(3), num)
  sample = functools.partial(draw, SMALL, params, CODEBOOK, segments=3)
  found = np.asarray(jax.jit(sample)(rows))
  assert found.shape == (num, 4) and found.dtype == np.int32
  counts = np.bincount(found @ [27, 9, 3, 1], minlength=81)
  expected = num * np.exp(log_p.astype(np.float64).sum(1))
  np.testing.assert_array_equal(ids @ [27, 9, 3, 1], np.arange(81))
  chi_squared = np.sum((counts - expected) ** 2 / expected)
  # 80 degrees of freedom: 80 +- 12.6.
  assert 30 < chi_squared < 150, chi_squared


def test_a_sample_is_the_same_in_any_batch():
  net = TINY.clone(layers=1)
  codebook = np.random.default_rng(6).normal(size=(7, 5)).astype(np.float32)
  sample = jax.jit(
    functools.partial(draw, net, noisy(net), codebook, segments=1)
  )
  rows = keys.example_keys(jax.random.key(4), 64)
  many = np.asarray(sample(rows))
  assert len(np.unique(many, axis=0)) == 64
  for row in (0, 1, 17, 63):
    np.testing.assert_array_equal(sample(rows[row : row + 1])[0], many[row])


@pytest.mark.parametrize("name", ["dropout", "attention_dropout"])
def test_dropout_belongs_to_the_example(name):
  """Each rate has an effect of its own."""
  net = TINY.clone(layers=1, **{name: 0.3})
  params, x = {"params": noisy(net)}, drawn(net, 2)
  apply = jax.jit(net.apply)
  rows = jax.random.split(jax.random.key(0), 2)
  logits = apply(params, x, rows)
  same_keys = apply(params, x, rows[np.array([0, 0])])
  np.testing.assert_array_equal(logits[0], same_keys[0])
  assert np.abs(logits[1] - same_keys[1]).max() > 1e-2
  # The first token attends to itself only: dropping that weight leaves 0.
  assert np.isfinite(logits).all()


def test_remat_changes_memory_only():
  net = TINY.clone(layers=1, dropout=0.2, attention_dropout=0.3)
  params, x = noisy(net), jnp.asarray(drawn(net, 2))
  rows = jax.random.split(jax.random.key(0), 2)

  def run(net):
    def loss(params):
      logits = net.apply({"params": params}, x, rows)
      return jnp.sum(jnp.sin(logits)), logits

    (_, logits), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(
      params
    )
    return logits, gradient

  logits, gradient = run(net)
  again, gradient_again = run(net.clone(remat=True))
  np.testing.assert_allclose(again, logits, atol=1e-5)
  assert jax.tree.structure(gradient) == jax.tree.structure(gradient_again)
  for ours, theirs in zip(
    jax.tree.leaves(gradient_again), jax.tree.leaves(gradient), strict=True
  ):
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_vectors_of_another_codebook_are_refused(key):
  vectors = jnp.zeros((1, SMALL.num_tokens, 5))
  with pytest.raises(ValueError, match="vectors of 4 numbers; got 5"):
    jax.eval_shape(SMALL.init, key, vectors)


def test_other_numbers_of_tokens_are_refused(key):
  with pytest.raises(ValueError, match="has 12 tokens; got 11"):
    jax.eval_shape(TINY.init, key, jnp.zeros((1, 11, 5)))


@pytest.mark.parametrize(
  "change, words",
  [
    (dict(width=16), "divisible by 3.*got width=16, heads=2"),
    (dict(width=12, heads=5), "model.heads; got width=12, heads=5"),
  ],
)
def test_impossible_fields_are_refused(change, words):
  with pytest.raises(errors.UserError, match=words):
    TINY.clone(**change).check()
