"""The masked token model against numpy in float64, its sizes, its gradients."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pseudovideo import errors
from pseudovideo.models import maskgit
from tests.models import maskgit_reference as reference
from tests.models import parameters

GRID = (2, 3, 4)
TINY = maskgit.MaskGit(GRID, codes=7, width=10, layers=1, heads=2, head_width=4)
RNG = np.random.default_rng(0)
IDS = RNG.integers(0, 8, (2, 24))


def count(net, method):
  ids = jnp.zeros((1, *net.grid), jnp.int32)
  shapes = jax.eval_shape(
    lambda key: net.init(key, ids, method=method), jax.random.key(0)
  )
  return sum(s.size for s in jax.tree.leaves(shapes["params"]))


def test_parameter_counts_are_the_published_ones():
  for grid, published in [
    ((1, 8, 8), 20_058_696),
    ((4, 8, 8), 20_157_000),
    ((9, 16, 16), 21_205_576),
  ]:
    net = maskgit.MaskGit(grid)
    net.check(grid, 1024)
    assert count(net, "__call__") == published


def test_parameter_counts_of_critics():
  net = maskgit.MaskGit((4, 8, 8))
  assert count(net.critic(), "scores") == 19_627_265
  # A network that is its own critic has one more linear layer to one number.
  assert count(net, "logits_and_scores") == 20_157_000 + 512 + 1


@pytest.fixture(scope="module")
def params():
  """Parameters of `logits_and_scores`."""
  return parameters.drawn(TINY.init, IDS, method="logits_and_scores")


def double(params):
  return jax.tree.map(lambda p: np.asarray(p, np.float64), params)


def assert_close(ours, expected, relative=1e-5):
  difference = np.abs(np.asarray(ours) - expected).max()
  assert difference < relative * np.abs(expected).max(), difference


@pytest.fixture(scope="module")
def both(params):
  """Ids to logits and scores."""
  compiled = jax.jit(
    lambda p, ids: TINY.apply({"params": p}, ids, method="logits_and_scores")
  )
  return functools.partial(compiled, params)


@pytest.fixture(scope="module")
def outputs(both):
  return both(IDS)


def test_network_is_its_definition(params, outputs):
  logits, scores = outputs
  assert logits.shape == (2, 24, 7) and scores.shape == (2, 24)
  numbers = double(params)
  for row in range(2):
    expected = reference.logits(IDS[row], numbers, TINY)
    assert_close(logits[row], expected)
    expected = reference.scores(IDS[row], numbers, TINY)
    assert_close(scores[row], expected)


def test_parts_are_those_of_both_and_grids_are_row_major(params, outputs):
  grids = jnp.asarray(IDS, jnp.uint8).reshape(2, *GRID)
  parts = jax.jit(
    lambda p, ids: (
      TINY.apply({"params": p}, ids),
      TINY.apply({"params": p}, ids, method="scores"),
    )
  )(params, grids)
  for ours, expected in zip(parts, outputs, strict=True):
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-5)


def test_critic_apart_is_its_definition(params):
  """It has no position bias."""
  critic = TINY.critic()
  kept = {
    name: params[name]
    for name in ("tokens", "places", "transformer", "to_score")
  }
  scores = jax.jit(
    lambda p, ids: critic.apply({"params": p}, ids, method="scores")
  )(kept, IDS)
  numbers = double(kept)
  for row in range(2):
    assert_close(scores[row], reference.scores(IDS[row], numbers, critic))


def pulled(net):
  """((Sum of logits times `pull`, logits), gradient), not compiled."""

  def loss(params, pull):
    logits = net.apply({"params": params}, jnp.asarray(IDS))
    return jnp.sum(logits * pull), logits

  return jax.value_and_grad(loss, has_aux=True)


@pytest.fixture(scope="module")
def plain():
  return jax.jit(pulled(TINY))


def test_gradient_of_the_tables_is_a_tenth_of_the_slope(params, plain):
  """Slopes are differences in float64; other weights keep all of theirs."""
  rng = np.random.default_rng(2)
  pull = rng.normal(size=(24, 7))
  _, gradient = plain(params, np.float32([pull, 0 * pull]))
  numbers, step = double(params), 1e-5
  for name, factor in {"tokens": 0.1, "places": 0.1, "to_logits": 1}.items():
    direction = jax.tree.map(lambda p: rng.normal(size=p.shape), params[name])
    ends = []
    for signed in (step, -step):
      moved = jax.tree.map(
        lambda p, d, s=signed: p + s * d, numbers[name], direction
      )
      logits = reference.logits(IDS[0], numbers | {name: moved}, TINY)
      ends.append((logits * pull).sum())
    slope = (ends[0] - ends[1]) / (2 * step)
    products = jax.tree.map(
      lambda g, d: (np.float64(g) * d).sum(), gradient[name], direction
    )
    ours = sum(jax.tree.leaves(products))
    assert abs(slope) > 0.1
    np.testing.assert_allclose(ours, factor * slope, rtol=1e-3)


def test_all_tokens_see_all_others(both, outputs):
  """A change at the first place reaches every place; rows stay apart."""
  changed = IDS.copy()
  changed[0, 0] = (changed[0, 0] + 1) % 8
  moved = np.abs(np.asarray(both(changed)[0]) - outputs[0]).max(-1)
  assert (moved[0] > 1e-4).all()
  assert (moved[1] == 0).all()


def test_ids_beyond_the_mask_cannot_go_unnoticed(both):
  ids = IDS.copy()
  ids[1, 5] = 8
  np.testing.assert_array_equal(
    np.isnan(both(ids)[0]).all(axis=(1, 2)), [False, True]
  )


def test_bfloat16_is_close_and_keeps_float32_parameters(params, outputs):
  low = TINY.clone(dtype="bfloat16")
  logits, scores = jax.jit(
    lambda p, ids: low.apply({"params": p}, ids, method="logits_and_scores")
  )(params, IDS)
  assert logits.dtype == scores.dtype == jnp.float32
  error = np.abs(logits - outputs[0]).max() / np.abs(outputs[0]).max()
  assert 0 < error < 0.1
  shapes = jax.eval_shape(low.init, jax.random.key(0), IDS)["params"]
  assert {s.dtype for s in jax.tree.leaves(shapes)} == {jnp.dtype("float32")}


def test_remat_changes_memory_only(params, plain):
  """Layers are computed twice, logits and gradients stay."""
  pull = RNG.normal(size=(2, 24, 7)).astype(np.float32)
  nets = TINY, TINY.clone(remat=True)
  (_, logits), gradient = plain(params, pull)
  (_, again), gradient_again = jax.jit(pulled(nets[1]))(params, pull)
  np.testing.assert_allclose(again, logits, atol=1e-5)
  assert jax.tree.structure(gradient) == jax.tree.structure(gradient_again)
  for ours, theirs in zip(
    jax.tree.leaves(gradient_again), jax.tree.leaves(gradient), strict=True
  ):
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)
  rematerialised = [
    str(jax.make_jaxpr(pulled(net))(params, pull)).count("remat")
    for net in nets
  ]
  assert rematerialised[0] == 0 < rematerialised[1]


def test_ids_of_another_grid_are_refused(params):
  for shape in ((1, 23), (1, 3, 2, 4)):
    with pytest.raises(ValueError, match=r"\(2, 3, 4\).*got"):
      TINY.apply({"params": params}, jnp.zeros(shape, jnp.int32))


@pytest.mark.parametrize(
  ("change", "words"),
  [
    ({"grid": (4, 3, 2)}, r"model.grid.*\(2, 3, 4\); got \(4, 3, 2\)"),
    ({"codes": 8}, "model.codes.*tokenizer, 7; got 8"),
  ],
)
def test_impossible_fields_are_refused(change, words):
  TINY.check(GRID, 7)
  with pytest.raises(errors.UserError, match=words):
    TINY.clone(**change).check(GRID, 7)
