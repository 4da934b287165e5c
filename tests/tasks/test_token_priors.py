"""Models of tokens over a tokenizer of 4 codes and 4 places: 256 grids."""

import dataclasses
import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import special, stats

from pseudovideo import data, errors, keys
from pseudovideo.first_stages import given
from pseudovideo.first_stages import tokens as tokens
from pseudovideo.losses import masked_tokens
from pseudovideo.models import maskgit, video_gpt
from pseudovideo.models.quantizers import lfq, vq
from pseudovideo.runs import checkpoints
from pseudovideo.samplers import masked
from pseudovideo.samplers import tokens as token_samplers
from pseudovideo.tasks import first_stage, masked_token, next_token, token_prior
from pseudovideo.training import state, steps
from tests.models import maskgit_reference, video_gpt_reference
from tests.tasks import small_tokenizers as small

K, N = 4, 4
CODER = small.changed(small.PLAIN, quantizer=vq.Cosine(codes=K, width=16))
SHARED = dict(
  image_shape=CODER.image_shape,
  coder=CODER,
  tokenizer=token_prior.TokenizerSource(),
)
CODES = next_token.NextToken(
  model=video_gpt.VideoGPT(
    width=12, layers=1, heads=2, dropout=0.0, attention_dropout=0.0
  ),
  sampler=token_samplers.TokenSampler(),
  **SHARED,
)
LEARNED = dataclasses.replace(
  CODES, model=CODES.model.clone(embedding="learned")
)
NEXT = {"codes": CODES, "learned": LEARNED}
MASKED = masked_token.MaskedToken(
  model=maskgit.MaskGit(width=16, layers=1, heads=2, head_width=8),
  masking=masked_tokens.Masking(steps=4),
  sampler=masked.Decoding(steps=3),
  **SHARED,
)
CRITICS = {
  name: dataclasses.replace(MASKED, critic=name)
  for name in ("separate", "shared")
}
TASKS = {"next": CODES, "masked": MASKED, **CRITICS}
GRIDS = np.array(list(itertools.product(range(K), repeat=N)), np.int32)

by_task = pytest.mark.parametrize("task", TASKS.values(), ids=TASKS.keys())


@pytest.fixture(scope="module")
def extra():
  """A tokenizer whose pixels leave [0, 1], as `init` gives it."""
  params, codes = CODER.init(jax.random.key(3), data.load("digits"))
  found = {"params": small.moved(params, 0.5), "extra": codes}
  return {"frozen": {"tokenizer": found}}


@functools.cache
def made(task):
  """Parameters away from their initial values."""
  return small.moved(task.init_params(jax.random.key(0)), 0.3)


def double(tree):
  return jax.tree.map(lambda p: np.asarray(p, np.float64), tree)


def codebook(extra):
  kept = extra["frozen"]["tokenizer"]["extra"]
  return np.asarray(kept["state"]["quantizer"]["codebook"])


def batch(ids):
  return {"ids": np.asarray(ids, np.uint8).reshape(-1, *CODER.grid_shape)}


@functools.cache
def compiled_sampler(task):
  return jax.jit(
    lambda params, extra, rows: task.sample_ids(
      params, extra, key=rows, num=len(rows)
    )
  )


def sampled(task, params, extra, rows):
  """(B, N) tokens, one for each key."""
  return np.asarray(compiled_sampler(task)(params, extra, rows))


@pytest.mark.parametrize("task", NEXT.values(), ids=NEXT.keys())
def test_likelihoods_are_probabilities_and_samples_have_them(task, extra):
  params = made(task)
  log_p = np.asarray(jax.jit(task.log_likelihood)(params, extra, GRIDS))
  assert log_p.shape == (256, N)
  p = np.exp(log_p.astype(np.float64).sum(1))
  assert abs(p.sum() - 1) < 1e-5
  assert p.max() > 5 * p.min(), "the test would say little of equal ones"
  num = 20_000
  rows = keys.example_keys(jax.random.key(5), num)
  found = sampled(task, params, extra, rows)
  counts = np.bincount(found @ [64, 16, 4, 1], minlength=256)
  # Rare grids together, as the test wants it.
  rare = num * p < 8
  seen, law = (
    np.append(x[~rare], x[rare].sum() + 1e-9) for x in (counts, num * p)
  )
  law *= seen.sum() / law.sum()
  assert stats.chisquare(seen, law).pvalue > 1e-3


@pytest.mark.parametrize("task", NEXT.values(), ids=NEXT.keys())
def test_the_loss_is_the_cross_entropy_of_the_network(task, extra):
  """In float64, with the tokenizer's own vectors as inputs."""
  params, ids = made(task), GRIDS[[27, 228, 70]]
  terms, same = jax.jit(
    functools.partial(task.loss, train=True)
  )(params, extra, batch(ids), key=jax.random.key(0), step=0)  # fmt: skip
  numbers = double(params["network"])
  expected = []
  for grid in ids:
    tokens = grid
    if task.model.embedding == "codes":
      tokens = codebook(extra)[grid]
    logits = video_gpt_reference.logits(tokens, numbers, task.network)
    log_p = special.log_softmax(logits, axis=-1)
    expected.append(-log_p[np.arange(N), grid].mean())
  assert set(terms) == {"nll"} and terms["nll"].coefficient == 1
  np.testing.assert_allclose(terms["nll"].value, expected, rtol=1e-5)
  np.testing.assert_array_equal(terms["nll"].weight, np.ones(3))
  jax.tree.map(np.testing.assert_array_equal, same, extra)


def test_dropout_is_for_training_only(extra):
  model = CODES.model.clone(dropout=0.5)
  task, params = dataclasses.replace(CODES, model=model), made(CODES)

  grids = jax.tree.map(jnp.asarray, batch(GRIDS[:4]))

  @functools.partial(jax.jit, static_argnames="train")
  def nll(key, train):
    terms, _ = task.loss(params, extra, grids, key=key, step=0, train=train)
    return terms["nll"].value

  one, other = jax.random.key(0), jax.random.key(1)
  assert (nll(one, True) != nll(other, True)).all()
  np.testing.assert_array_equal(nll(one, False), nll(other, False))


@pytest.mark.parametrize(
  ("critic", "train"),
  [(None, False), ("separate", True), ("shared", True)],
)
def test_the_masked_loss_is_that_of_the_network(critic, train, extra):
  """In float64, of the places that `masking` hides; smoothed in training.

  A critic apart moves nothing of the network, a shared one some of it.
  """
  task = CRITICS[critic] if critic else MASKED
  task = dataclasses.replace(task, smoothing=0.2, critic_weight=0.6)
  params, ids = made(task), GRIDS[[27, 228, 70, 3, 254]]
  rows = keys.example_keys(jax.random.key(7), len(ids))

  @jax.jit
  def run(params, rows):
    def of_critic(params):
      terms, _ = task.loss(
        params, extra, batch(ids), key=rows, step=0, train=train
      )
      return jnp.mean(terms["critic"].value) if critic else 0.0, terms

    moved, terms = jax.grad(of_critic, has_aux=True)(params)
    return terms, moved, task.masking.draw(len(ids), N, key=rows)

  terms, moved, hidden = jax.device_get(run(params, rows))
  numbers = double(params["network"])
  logits = np.stack(
    [
      maskgit_reference.logits(np.where(h, K, grid), numbers, task.network)
      for h, grid in zip(hidden, ids, strict=True)
    ]
  )
  log_p = special.log_softmax(logits, axis=-1)
  true = np.eye(K)[ids]
  if train:
    true = 0.8 * true + 0.2 / K
  nll = -(true * log_p).sum(-1)[hidden].mean()
  ours = terms["nll"]
  mean = np.sum(ours.value * ours.weight) / np.sum(ours.weight)
  np.testing.assert_allclose(mean, nll, rtol=1e-5)
  np.testing.assert_array_equal(ours.weight, hidden.sum(1))
  if critic is None:
    assert set(terms) == {"nll"}
    return
  drawn = masked.draw(jnp.float32(logits), 1.0, key=keys.named(rows, "drawn"))
  drawn = np.where(hidden, drawn, ids)
  net = task.network.critic() if critic == "separate" else task.network
  if critic == "separate":
    numbers = double(params["critic"])
  scores = [maskgit_reference.scores(grid, numbers, net) for grid in drawn]
  wrong = drawn != ids
  assert 0 < wrong.sum() < hidden.sum()
  p = np.where(wrong, special.expit(scores), special.expit(-np.array(scores)))
  np.testing.assert_allclose(
    terms["critic"].value, -np.log(p).mean(1), rtol=1e-4
  )
  assert terms["critic"].coefficient == pytest.approx(0.6)
  np.testing.assert_allclose(terms["wrong"].value, wrong.mean(1), rtol=1e-6)
  assert terms["wrong"].coefficient == 0
  moved = jax.tree.map(lambda g: np.abs(g).max(), moved)
  own = moved["critic" if critic == "separate" else "network"]
  other = moved["network"] if critic == "separate" else own["to_logits"]
  assert not any(jax.tree.leaves(other))
  kernels = own["transformer"], own["to_score"], own["tokens"], own["places"]
  assert all(max(jax.tree.leaves(tree)) > 1e-6 for tree in kernels)


ADAM = optax.adam(1e-2)


@functools.cache
def compiled_step(task):
  return jax.jit(steps.make_step(task, ADAM, ema_decay=0.0))


def train(task, extra, grids, updates):
  """(state after Adam, terms of every step) on rows of grids."""
  step, seen = compiled_step(task), []
  now = state.create(task.init_params(jax.random.key(1)), extra, ADAM)
  for n in range(updates):
    chosen = np.random.default_rng(n).integers(len(grids), size=32)
    now, sums = step(now, batch(grids[chosen]), jax.random.key(2))
    seen.append(sums)
  return now, jax.device_get(seen)


@pytest.mark.slow("trains until it has learned")
def test_one_grid_is_learned_and_the_tokenizer_is_not(extra):
  task = CODES
  grid = np.array([[2, 0, 3, 3]])
  now, _ = train(task, extra, grid, 100)
  rows = keys.example_keys(jax.random.key(4), 8)
  found = sampled(task, now.params, extra, rows)
  np.testing.assert_array_equal(found, np.broadcast_to(grid, (8, N)))
  jax.tree.map(np.testing.assert_array_equal, now.extra, extra)
  assert "tokenizer" not in now.params


def entropy(p):
  return stats.entropy([p, 1 - p])


@pytest.mark.slow("trains until it has learned")
def test_critics_learn_which_tokens_cannot_be_known(extra):
  """Two places are uniform on the codes, two are always the same.

  Of 4 places 4, 4, 3 or 2 are masked. The best network names the constant ones
  and errs at 3 of 4 masked uniform ones. The best critic knows only that.
  """
  task = CRITICS["shared"]
  grids = GRIDS[(GRIDS[:, 1] == 2) & (GRIDS[:, 3] == 0)]
  now, seen = train(task, extra, grids, 300)
  first = np.mean([np.divide(*s["critic"]) for s in seen[:3]])
  many = np.random.default_rng(9).integers(len(grids), size=4000)
  terms, _ = jax.jit(functools.partial(task.loss, train=False))(
    now.params, extra, batch(grids[many]), key=jax.random.key(8), step=0
  )
  _, sums = steps.reduce_terms(terms)
  found = {
    name: float(total / weight) for name, (total, weight) in sums.items()
  }
  wrong = 3 / 4 * (4 + 4 + 3 + 2) / 16
  assert abs(found["wrong"] - wrong / 2) < 0.02
  assert abs(found["nll"] - np.log(K) / 2) < 0.03
  best = entropy(wrong) / 2
  assert best - 0.02 < found["critic"] < best + 0.03 < first - 0.1


def counting(task):
  """The task with a list that grows with every pass of a network."""
  passes = []

  def told(name, method):
    def run(*args):
      jax.debug.callback(lambda: passes.append(name))
      return method(*args)

    return run

  one, names = dataclasses.replace(task), ("_inputs", "_logits", "_scores")
  for name in names:
    if hasattr(one, name):
      object.__setattr__(one, name, told(name, getattr(task, name)))
  return one, passes


@by_task
def test_a_sample_is_the_same_in_any_batch_after_as_many_passes(task, extra):
  """`_inputs` is called for every token, the others for every pass."""
  rows = keys.example_keys(jax.random.key(6), 8)
  params = made(task)
  many = sampled(task, params, extra, rows)
  assert many.shape == (8, N) and many.dtype == np.int32
  assert len(np.unique(many, axis=0)) > 1
  counted, passes = counting(task)
  # It equals the task itself, whose sampler is compiled.
  alone = compiled_sampler.__wrapped__(counted)(params, extra, rows[5:6])
  np.testing.assert_array_equal(alone[0], many[5])
  jax.effects_barrier()
  name = next(name for name, one in TASKS.items() if one is task)
  expected = {"next": 4, "masked": 3}.get(name, 3 + 2)
  assert len(passes) == task.network_evaluations == expected


def test_samples_are_decoded_and_clipped(extra):
  found = extra["frozen"]["tokenizer"]
  grids = GRIDS.reshape(-1, *CODER.grid_shape)
  expected = np.asarray(
    jax.jit(CODER.decode)(found["params"], found["extra"], grids)
  )
  assert expected.min() < -0.1 and expected.max() > 1.1
  expected = np.clip(expected, 0, 1)
  assert expected.shape == (256, 1, 8, 8, 1) and expected.std() > 0.1
  ours = jax.jit(CODES.decode)(extra, GRIDS)
  # As much as pixels may differ between programs.
  np.testing.assert_allclose(ours, expected, atol=1e-4)
  params, rows = made(CODES), keys.example_keys(jax.random.key(6), 8)
  videos = jax.jit(
    lambda rows: CODES.sample(params, extra, key=rows, num=8)
  )(rows)  # fmt: skip
  ids = sampled(CODES, params, extra, rows)
  np.testing.assert_allclose(videos, expected[ids @ [64, 16, 4, 1]], atol=1e-4)


def test_the_pseudo_video_is_the_tokenizer_s(extra):
  coder = dataclasses.replace(CODES, coder=small.VIDEO)
  images, key = small.images(3), jax.random.key(0)
  found = coder.pseudo_video({}, extra, images, key=key)
  # The last frame of a blur is the image itself.
  assert found.shape == (3, 4, 8, 8, 1)
  np.testing.assert_allclose(found[:, -1], images / 255, atol=1e-6)


def test_a_tokenizer_without_a_codebook_comes_from_its_checkpoint(tmp_path):
  """A look-up-free one has parameters and no state, and its judge stays."""
  quantizer = lfq.LookupFree(codes=K, width=16)
  coder = small.changed(small.LOOKUP_FREE, quantizer=quantizer)
  image_set = data.load("digits")
  params, extra = coder.init(jax.random.key(3), image_set)
  store = checkpoints.Checkpoints(tmp_path / checkpoints.FOLDER)
  store.save(1, {"ema": params, "extra": extra}, config={}, wait=True)
  store.close()
  source = token_prior.TokenizerSource(
    workdir=str(tmp_path),
    hash=tokens.tokenizer_hash(first_stage.Trained(coder, params, extra)),
  )
  task = dataclasses.replace(CODES, coder=coder, tokenizer=source)
  ours, kept = given.init(task, jax.random.key(0), image_set)
  frozen = kept["frozen"]["tokenizer"]
  assert set(frozen) == {"params"}
  assert set(frozen["params"]) == {"network", "quantizer"}
  found = task.trained(kept)
  batch, rows = small.images(8), keys.example_keys(jax.random.key(1), 8)
  encode = jax.jit(coder.encode)
  np.testing.assert_array_equal(
    encode(found.params, found.extra, batch, key=rows),
    encode(params, extra, batch, key=rows),
  )
  log_p = jax.jit(task.log_likelihood)(small.moved(ours, 0.3), kept, GRIDS)
  p = np.exp(np.asarray(log_p, np.float64).sum(1))
  assert abs(p.sum() - 1) < 1e-5 and p.max() > 2 * p.min()


# What is refused.


def test_all_of_these_can_be_trained():
  for task in TASKS.values():
    task.check()
    assert task.network.grid == (1, 2, 2) and task.network.codes == K


@pytest.mark.parametrize(
  ("task", "fields", "words"),
  [
    (CODES, {"sampler": {"top_k": 5}}, "top_k.*the 4 codes.*got 5"),
    (CODES, {"model": {"width": 16}}, "model.width must be divisible by 3"),
    (CODES, {"binarize": "threshold"}, "data.binarize is 'threshold', but"),
    (MASKED, {"binarize": "bernoulli"}, "trained with 'none'; set both"),
  ],
)
def test_impossible_fields_are_refused(task, fields, words):
  changed = {}
  for name, value in fields.items():
    if isinstance(value, dict):
      value = dataclasses.replace(getattr(task, name), **value)
    changed[name] = value
  with pytest.raises(errors.UserError, match=words) as caught:
    dataclasses.replace(task, **changed).check()
  said = str(caught.value)
  assert said.endswith(".") and "\n" not in said
