"""The tokenizer's loss: who is moved by which term, and how far."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pseudovideo import data
from pseudovideo.models.quantizers import lfq
from pseudovideo.pretrained import perceptual_features
from pseudovideo.training import steps
from tests.tasks import small_tokenizers as small

# With every term, and two heads. The usual inverse temperature of the entropy,
# 100, would multiply rounding errors of gradients by as much.
TASK = small.changed(
  small.FIRST_FRAME,
  quantizer=lfq.LookupFree(codes=16, width=16, inverse_temperature=1.0),
  perceptual="classifier",
  perceptual_weight=0.3,
)
NUM = 4


@functools.cache
def fresh(task):
  params, extra = task.init(jax.random.key(0), data.load("digits"))
  return small.moved(params), extra


@functools.cache
def ours():
  """Gradient of TASK's reduced loss, terms and next state, after 9 updates."""
  params, extra = fresh(TASK)

  @jax.jit
  def run(params, images):
    def loss(params):
      terms, state = TASK.loss(
        params, extra, {"image": images}, key=jax.random.key(1), step=9,
        train=True,
      )  # fmt: skip
      return steps.reduce_terms(terms)[0], (terms, state)

    gradient, aux = jax.grad(loss, has_aux=True)(params)
    return gradient, *aux

  return jax.device_get(run(params, small.images(NUM)))


@functools.cache
def forward(task, train=True):
  """(step) -> terms and next state, without gradients."""
  params, extra = fresh(task)

  @jax.jit
  def run(images, step):
    batch = {"image": images}
    return task.loss(
      params, extra, batch, key=jax.random.key(1), step=step, train=train
    )

  return lambda step: jax.device_get(run(small.images(NUM), jnp.int32(step)))


def decoded(task, params, extra, video):
  """What the parts of the task make of a video, one after the other."""
  latents = task.model.apply(
    {"params": params["network"]}, video, method="encode"
  )
  quantized = task.quantizer.quantize(
    params.get("quantizer", {}),
    extra.get("state", {}).get("quantizer", {}),
    latents,
  )
  made = task.model.apply(
    {"params": params["network"]}, quantized.values, method="decode"
  )
  return made, quantized


def reference(task):
  """Gradients of every part alone: {part: gradient of all parameters}."""
  params, extra = fresh(task)
  video = task.pseudo_video({}, {}, small.images(NUM), key=jax.random.key(1))

  def pieces(params):
    made, quantized = decoded(task, params, extra, video)
    x, y = (
      perceptual_features.penultimate(extra["frozen"]["perceptual"], v[:, -1])
      for v in (made, video)
    )
    found = {
      "squared error": jnp.mean(jnp.square(made - video)),
      "commitment": jnp.mean(quantized.commitment),
      "entropy": jnp.mean(quantized.entropy),
      "perceptual": jnp.mean(jnp.square(x - y)),
    }

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


def adaptive(parts, numerator="perceptual"):
  """|numerator| / |generator| by the heads' kernels."""
  lengths = [
    np.linalg.norm(np.concatenate([k.ravel() for k in heads(parts[name])]))
    for name in (numerator, "generator")
  ]
  return lengths[0] / lengths[1]


def assert_close(found, expected):
  """Each array up to rounding errors of the size of the largest."""
  size = max(np.abs(x).max() for x in jax.tree.leaves(expected))
  assert size > 1e-4
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-4 * size),
    found,
    expected,
  )


def test_both_players_are_moved_by_their_own_terms_alone():
  parts, (gradient, terms, _) = reference(TASK), ours()
  kernels = heads(parts["squared error"])
  assert len(kernels) == 2
  assert all(np.abs(kernel).max() > 0 for kernel in kernels)
  weight = adaptive(parts)
  assert 1e-3 < weight < 1e4
  np.testing.assert_allclose(terms["adaptive_weight"].value, weight, rtol=1e-3)
  np.testing.assert_allclose(terms["generator"].coefficient, weight, rtol=1e-3)
  # Without a perceptual term the squared error is the measure.
  alone, _ = forward(small.changed(TASK, perceptual="none"))(9)
  np.testing.assert_allclose(
    alone["adaptive_weight"].value, adaptive(parts, "squared error"), rtol=1e-3
  )
  weights = {
    "squared error": 1.0,
    "commitment": 0.7,
    "entropy": 0.1,
    "perceptual": 0.3,
    "generator": weight,
  }
  wanted = [(weights[p], g) for p, g in parts.items() if p != "judging"]
  for group in ("network", "quantizer"):
    expected = jax.tree.map(
      lambda *g: sum(w * x for (w, _), x in zip(wanted, g, strict=True)),
      *(g[group] for _, g in wanted),
    )
    assert_close(gradient[group], expected)
  assert_close(gradient["discriminator"], parts["judging"]["discriminator"])
  for part, group in (("generator", "discriminator"), ("judging", "network")):
    leak = jax.tree.leaves(parts[part][group])
    assert max(np.abs(x).max() for x in leak) > 1e-3, "if it were not held"


def test_only_commitment_and_error_are_left_without_opponents():
  terms, _ = forward(small.PLAIN)(0)
  optimised = {name: float(t.coefficient) for name, t in terms.items()}
  assert optimised == {
    "squared_error": 1.0,
    "commitment": pytest.approx(0.7),
    "last_frame_error": 0,
    "codes_used": 0,
    "perplexity": 0,
  }
  assert "discriminator" not in fresh(small.PLAIN)[0]


def test_the_adversarial_term_may_come_later_and_is_bounded():
  """Images count too, to which the published code gives the weight 0."""
  run = forward(small.changed(small.IMAGE, most_adaptive=1e-3))
  found = [run(step)[0] for step in (0, 2, 3, 9)]
  weights = [float(terms["generator"].coefficient) for terms in found]
  assert weights == [0, 0, pytest.approx(1e-3), pytest.approx(1e-3)]
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


@pytest.mark.parametrize(
  "task", [small.FIRST_FRAME, TASK], ids=["cosine", "lookup free"]
)
def test_what_is_logged(task):
  """Against numpy, from the ids and pictures of the same step."""
  params, extra = fresh(task)

  @jax.jit
  def pictures(images):
    key = jax.random.key(1)
    ids = task.encode(params, extra, images, key=key)
    video = task.pseudo_video(params, extra, images, key=key)
    return ids, video, task.decode(params, extra, ids)

  ids, video, made = jax.device_get(pictures(small.images(NUM)))
  terms = ours()[1] if task is TASK else forward(task)(9)[0]
  error = np.square(np.float64(made) - np.float64(video))
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


def test_a_frozen_network_stays_as_it_was():
  packaged = perceptual_features.load("classifier", data.load("digits")).params
  params, extra = fresh(TASK)
  jax.tree.map(
    np.testing.assert_array_equal, extra["frozen"]["perceptual"], packaged
  )
  _, _, state = ours()
  kept = state["frozen"]["perceptual"]
  jax.tree.map(np.testing.assert_array_equal, kept, packaged)
  assert "perceptual" not in params


def test_evaluation_has_no_opponent_and_leaves_the_codebook():
  task = small.FIRST_FRAME
  _, extra = fresh(task)
  terms, state = forward(task, train=False)(0)
  jax.tree.map(np.testing.assert_array_equal, state, extra)
  assert {"hinge_real", "hinge_fake", "generator"}.isdisjoint(terms)
  after = forward(task)(9)[1]["state"]["quantizer"]
  for name in ("codebook", "counts", "sums"):
    assert np.abs(after[name] - extra["state"]["quantizer"][name]).max() > 1e-3
