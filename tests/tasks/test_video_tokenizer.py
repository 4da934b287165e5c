"""The tokenizer's loss: who is moved by which term, and how far."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pseudovideo import data, steps
from pseudovideo.losses import perceptual
from pseudovideo.metrics import classifier
from tests.tasks import small_tokenizers as small

CLASSIFIER = small.changed(
  small.IMAGE, perceptual="classifier", perceptual_weight=0.3
)
TASKS = {
  "video": small.VIDEO,
  "image": small.IMAGE,
  "first frame": small.FIRST_FRAME,
  "lookup free": small.LOOKUP_FREE,
  "plain": small.PLAIN,
  "classifier": CLASSIFIER,
}
# Each is a compilation of ten seconds and more; the slow tests have all.
SLOW = ("first frame", "lookup free", "classifier")
ALL = [
  pytest.param(name, marks=pytest.mark.slow if name in SLOW else ())
  for name in TASKS
]
ADVERSARIAL = [p for p in ALL if TASKS[p.values[0]].adversarial]
NUM = 4


@pytest.fixture(scope="module", autouse=True)
def stand_in(tmp_path_factory):
  """An untrained classifier of digits, in a cache of this module."""
  image_set = data.load("digits")
  network = classifier.network_for(image_set)
  image = jnp.zeros((1, *image_set.image_shape))
  params = jax.jit(network.init)(jax.random.key(0), image)["params"]
  params = jax.tree.map(np.asarray, params)
  with pytest.MonkeyPatch.context() as patch:
    patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    patch.setattr(classifier, "train", lambda *_: params)
    yield params


@functools.cache
def fresh(task):
  params, extra = task.init(jax.random.key(0), data.load("digits"))
  return small.moved(params), extra


@functools.cache
def compiled(task):
  """(images, step) -> gradient of the reduced loss, terms and next state."""
  params, extra = fresh(task)

  def loss(params, images, step):
    terms, state = task.loss(
      params, extra, {"image": images}, key=jax.random.key(1), step=step,
      train=True,
    )  # fmt: skip
    return steps.reduce_terms(terms)[0], (terms, state)

  gradient = jax.jit(jax.grad(loss, has_aux=True))
  return lambda images, step: gradient(params, images, jnp.int32(step))


@functools.cache
def ours(task, step=9):
  gradient, (terms, state) = compiled(task)(small.images(NUM), step)
  return jax.device_get((gradient, terms, state))


def decoded(task, params, extra, video):
  """What the parts of the task make of a video, one after the other."""
  latents = task.model.apply(
    {"params": params["network"]}, video, method="encode"
  )
  quantized = task.quantizer.quantize(
    params.get("quantizer", {}), extra.get("quantizer", {}), latents
  )
  made = task.model.apply(
    {"params": params["network"]}, quantized.values, method="decode"
  )
  return made, quantized


@functools.cache
def reference(task):
  """Gradients of every part alone: {part: gradient of all parameters}."""
  params, extra = fresh(task)
  video = task.pseudo_video({}, {}, small.images(NUM), key=jax.random.key(1))

  def pieces(params):
    made, quantized = decoded(task, params, extra, video)
    found = {
      "squared error": jnp.mean(jnp.square(made - video)),
      "commitment": jnp.mean(quantized.commitment),
    }
    if quantized.entropy is not None:
      found["entropy"] = jnp.mean(quantized.entropy)
    if task.perceptual != "none":
      x, y = (
        perceptual.penultimate(extra["perceptual"], v[:, -1])
        for v in (made, video)
      )
      found["perceptual"] = jnp.mean(jnp.square(x - y))
    if not task.adversarial:
      return found

    def logit(image):
      tree = {"params": params["discriminator"]}
      return task.discriminator.apply(tree, image[None])[0]

    def length(image):
      return jnp.sqrt(jnp.sum(jnp.square(jax.grad(logit)(image))))

    real, fake = (jax.vmap(logit)(v[:, -1]) for v in (video, made))
    found["generator"] = -jnp.mean(fake)
    found["judging"] = jnp.mean(
      jnp.maximum(0, 1 - real) + jnp.maximum(0, 1 + fake)
    ) + task.gradient_penalty * jnp.mean(
      jnp.square(jax.vmap(length)(video[:, -1]) - 1)
    )
    return found

  return jax.device_get(jax.jit(jax.jacrev(pieces))(params))


def heads(gradient):
  """Only the kernels of the layers that end in pixels."""
  return [
    tree["linear"]["kernel"]
    for name, tree in gradient["network"].items()
    if name.endswith("_head")
  ]


def adaptive(task):
  """|numerator| / |generator| by the heads' kernels."""
  parts = reference(task)
  above = "squared error" if task.perceptual == "none" else "perceptual"
  lengths = [
    np.linalg.norm(np.concatenate([k.ravel() for k in heads(parts[name])]))
    for name in (above, "generator")
  ]
  return min(lengths[0] / lengths[1], task.most_adaptive)


def assert_close(found, expected):
  """Each array up to rounding errors of the size of the largest."""
  size = max(np.abs(x).max() for x in jax.tree.leaves(expected))
  assert size > 1e-4
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-4 * size),
    found,
    expected,
  )


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_the_network_is_moved_by_all_but_the_discriminators_terms(name):
  task = TASKS[name]
  parts = reference(task)
  weights = {
    "squared error": 1.0,
    "commitment": 0.7,
    "entropy": 0.1,
    "perceptual": 0.3,
  }
  if task.adversarial:
    weights["generator"] = adaptive(task)
  wanted = [(weights[p], g) for p, g in parts.items() if p != "judging"]
  for group in ("network", "quantizer"):
    if group in parts["commitment"]:
      expected = jax.tree.map(
        lambda *g: sum(w * x for (w, _), x in zip(wanted, g, strict=True)),
        *(g[group] for _, g in wanted),
      )
      assert_close(ours(task)[0][group], expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", ADVERSARIAL)
def test_the_discriminator_is_moved_by_its_three_terms_alone(name):
  task = TASKS[name]
  parts = reference(task)
  assert_close(
    ours(task)[0]["discriminator"], parts["judging"]["discriminator"]
  )
  for part, group in (("generator", "discriminator"), ("judging", "network")):
    leak = jax.tree.leaves(parts[part][group])
    assert max(np.abs(x).max() for x in leak) > 1e-3, "if it were not held"


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_the_adaptive_weight_is_the_ratio_of_slopes_at_the_heads(name):
  """The published code has 0 for images, whose head it does not look at."""
  terms = ours(TASKS[name])[1]
  expected = adaptive(TASKS[name])
  bounded = name == "lookup free"
  assert expected == 1e-3 if bounded else 1e-3 < expected < 1e4
  np.testing.assert_allclose(
    terms["adaptive_weight"].value, expected, rtol=1e-3
  )
  np.testing.assert_allclose(
    terms["generator"].coefficient, expected, rtol=1e-3
  )


@pytest.mark.slow
def test_both_heads_of_a_first_frame_grid_count():
  kernels = heads(reference(small.FIRST_FRAME)["squared error"])
  assert len(kernels) == 2 and all(np.abs(k).max() > 0 for k in kernels)


def test_only_commitment_and_error_are_left_without_opponents():
  terms = ours(small.PLAIN)[1]
  optimised = {name: t.coefficient for name, t in terms.items()}
  assert optimised == {
    "squared_error": 1.0,
    "commitment": 0.7,
    "last_frame_error": 0,
    "codes_used": 0,
    "perplexity": 0,
  }
  assert "discriminator" not in fresh(small.PLAIN)[0]


def test_the_adversarial_term_may_come_later():
  found = [ours(small.IMAGE, step)[1] for step in (0, 2, 3, 9)]
  weights = [terms["generator"].coefficient for terms in found]
  assert weights[0] == weights[1] == 0 < weights[2] == weights[3]
  judging = [terms["hinge_real"].coefficient for terms in found]
  assert judging == [1.0] * 4, "the discriminator learns at once"


def test_one_random_frame_of_each_video_is_judged():
  """The same one of the pseudo video and of what is made of it."""
  task = small.changed(judged_frame="random")
  params, extra = fresh(small.VIDEO)
  num, frames = 96, task.augmentation.frames

  @jax.jit
  def both(images):
    terms, _ = task.loss(
      params, extra, {"image": images}, key=jax.random.key(1), step=0,
      train=True,
    )  # fmt: skip
    video = task.pseudo_video({}, {}, images, key=jax.random.key(1))
    made, _ = decoded(task, params, extra, video)
    logits = [
      task.discriminator.apply(
        {"params": params["discriminator"]}, v.reshape(-1, 8, 8, 1)
      ).reshape(num, frames)
      for v in (video, made)
    ]
    return terms["hinge_real"].value, terms["generator"].value, logits

  real, fake, (of_video, of_made) = jax.device_get(both(small.images(num)))
  matches = np.isclose(real[:, None], np.maximum(0, 1 - of_video), atol=1e-6)
  matches &= np.isclose(fake[:, None], -of_made, atol=1e-6)
  assert matches.any(1).all()
  chosen = matches[matches.sum(1) == 1].argmax(1)
  counts = np.bincount(chosen, minlength=frames)
  assert len(chosen) > 60 and counts.min() > len(chosen) / frames / 2


@pytest.mark.parametrize("name", ["video", "lookup free"])
def test_what_is_logged(name):
  """Against numpy, from the ids and pictures of the same step."""
  task = TASKS[name]
  params, extra = fresh(task)
  images = small.images(NUM)
  key = jax.random.key(1)
  ids = np.asarray(task.encode(params, extra, images, key=key))
  video = np.float64(images)[:, None] / 255
  if name == "video":
    video = np.float64(task.pseudo_video({}, {}, images, key=key))
  made = np.float64(task.decode(params, extra, jnp.asarray(ids)))
  terms = ours(task)[1]
  error = np.square(made - video)
  np.testing.assert_allclose(
    terms["squared_error"].value, error.mean((1, 2, 3, 4)), rtol=1e-4
  )
  np.testing.assert_allclose(
    terms["last_frame_error"].value, error[:, -1].mean((1, 2, 3)), rtol=1e-4
  )
  _, counts = np.unique(ids, return_counts=True)
  share = counts / counts.sum()
  assert (terms["codes_used"].value == len(counts)).all()
  np.testing.assert_allclose(
    terms["perplexity"].value, np.exp(-np.sum(share * np.log(share))), rtol=1e-5
  )


def test_a_frozen_network_stays_as_it_was(stand_in):
  task = CLASSIFIER
  params, extra = fresh(task)
  jax.tree.map(np.testing.assert_array_equal, extra["perceptual"], stand_in)
  _, _, state = ours(task)
  jax.tree.map(np.testing.assert_array_equal, state["perceptual"], stand_in)
  assert "perceptual" not in params


def test_evaluation_has_no_opponent_and_leaves_the_codebook(key):
  task = small.VIDEO
  params, extra = fresh(task)

  @jax.jit
  def loss(images):
    batch = {"image": images}
    return task.loss(params, extra, batch, key=key, step=0, train=False)

  terms, state = loss(small.images(NUM))
  jax.tree.map(np.testing.assert_array_equal, state, extra)
  assert {"hinge_real", "hinge_fake", "generator"}.isdisjoint(terms)
  after = ours(task)[2]["quantizer"]
  for name in ("codebook", "counts", "sums"):
    assert np.abs(after[name] - extra["quantizer"][name]).max() > 1e-3
