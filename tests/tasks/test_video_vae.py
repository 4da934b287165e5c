"""The loss of video VAEs: its terms, and who is moved by them; orders."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pseudovideo import augmentations, errors, keys, optimizers, pixels
from pseudovideo.pretrained import perceptual_features
from pseudovideo.training import steps
from tests.tasks import small_tokenizers
from tests.tasks import small_vaes as small

NUM = 8
# Of 8 examples a quarter are single images.
ALONE, CLIPS = [3, 7], [0, 1, 2, 4, 5, 6]
BOTH = pytest.mark.parametrize(
  "task", [small.MIXED, small.IMAGES], ids=["clips and images", "images"]
)


@pytest.fixture(scope="module", autouse=True)
def toy():
  with pytest.MonkeyPatch.context() as patch:
    patch.setitem(perceptual_features.FEATURES, "toy", small.toy_features())
    yield


@functools.cache
def fresh(task):
  return small.fresh(task)


@functools.cache
def compiled(task):
  """(images, keys, step) -> gradient of the reduced loss, terms."""
  params, extra = fresh(task)

  def loss(params, images, rows, step):
    batch = {"image": images}
    terms, state = task.loss(
      params, extra, batch, key=rows, step=step, train=True
    )
    assert jax.tree.structure(state) == jax.tree.structure(extra)
    return steps.reduce_terms(terms)[0], terms

  gradient = jax.jit(jax.grad(loss, has_aux=True))
  return functools.partial(gradient, params)


def inputs():
  """Images and a key for each."""
  rows = keys.example_keys(jax.random.key(1), NUM)
  return small_tokenizers.images(NUM), rows


@functools.cache
def forward(task):
  """(step) -> terms without gradients, of single images."""
  params, extra = fresh(task)
  images, rows = inputs()

  @jax.jit
  def run(images, step):
    batch = {"image": images}
    return task.loss(params, extra, batch, key=rows, step=step, train=True)[0]

  return lambda step: jax.device_get(run(images, step))


@functools.cache
def ours(task):
  """Gradient of the loss, of MIXED only, and terms, after 9 updates."""
  if task == small.IMAGES:
    return None, forward(task)(9)
  return jax.device_get(compiled(task)(*inputs(), 9))


def values(task, name):
  return np.float64(ours(task)[1][name].value)


@functools.cache
def passes(task):
  """A function of parameters: clips, then single images if there are any.

  Each is a dictionary of video, means, log-variances and what is made of the
  drawn latents, all in the order of encoding.
  """
  images, rows = inputs()
  x = pixels.to_float(jnp.asarray(images), (-1, 1))
  video = task.augmentation(x, key=rows)
  if task.order == "reversed":
    video = video[:, ::-1]
  mixed = task.image_share > 0
  given = [(video[np.array(CLIPS)], rows[np.array(CLIPS)])]
  given += [(x[np.array(ALONE)][:, None], rows[np.array(ALONE)])]
  given = given if mixed else [(video, rows)]

  def run(params):
    found = []
    for clip, of_clip in given:
      variables = {"params": params["network"]}
      means, logs = task.model.apply(variables, clip, method="encode")
      noise = keys.normal(keys.named(of_clip, "latents"), means.shape)
      drawn = means + jnp.exp(logs / 2) * noise
      made = task.model.apply(variables, drawn, method="decode")
      found.append(dict(video=clip, means=means, logs=logs, made=made))
    return found

  return run


@functools.cache
def in_numpy(task):
  """The same, float64, of the parameters of `fresh`."""
  found = jax.device_get(jax.jit(passes(task))(fresh(task)[0]))
  return jax.tree.map(np.float64, found)


def joined(task, function):
  return np.concatenate([function(part) for part in in_numpy(task)])


def of_examples(x):
  return x.reshape(len(x), -1)


def distances(task, part):
  """(n, T): the toy distance of each frame."""
  weights = np.float64(fresh(task)[1]["frozen"]["perceptual"]["weights"])
  gap = (part["made"] - part["video"]) / 2
  frames = gap.reshape(*gap.shape[:2], -1) @ weights
  return np.square(frames).mean(-1)


@functools.cache
def judged(task):
  """Which frame of each clip and image the perceptual term saw."""
  seen, start = [], 0
  for part in in_numpy(task):
    every = distances(task, part)
    value = values(task, "perceptual")[start : start + len(every)]
    matches = np.isclose(every, value[:, None], rtol=1e-3)
    assert (matches.sum(1) == 1).all(), "one frame of each"
    seen.append(matches.argmax(1))
    start += len(every)
  return seen


@BOTH
def test_the_error_is_that_of_drawn_latents_and_a_mean_over_pixels(task):
  def errors_of(part):
    return np.abs(of_examples(part["made"] - part["video"])).mean(1)

  expected = joined(task, errors_of)
  np.testing.assert_allclose(
    values(task, "absolute_error"), expected, rtol=1e-4
  )
  clips, *images = in_numpy(task)
  # The clean image is frame 0 of what is encoded.
  last = np.abs(of_examples((clips["made"] - clips["video"])[:, 0])).mean(1)
  np.testing.assert_allclose(values(task, "last_frame_error"), last, rtol=1e-4)
  if images:
    alone = values(task, "image_error")
    np.testing.assert_allclose(alone, expected[-len(ALONE) :], rtol=1e-4)
  else:
    assert "image_error" not in ours(task)[1]
  logged = ours(task)[1]["last_frame_error"], ours(task)[1].get("image_error")
  assert all(term is None or term.coefficient == 0 for term in logged)


@BOTH
def test_the_divergence_is_summed_over_latents_and_shared_by_pixels(task):
  def divergence(part):
    means, logs = of_examples(part["means"]), of_examples(part["logs"])
    nats = 0.5 * (means**2 + np.exp(logs) - 1 - logs).sum(1)
    return nats / of_examples(part["video"]).shape[1]

  expected = joined(task, divergence)
  assert expected.min() > 1e-2
  np.testing.assert_allclose(values(task, "kl"), expected, rtol=1e-4)
  assert ours(task)[1]["kl"].coefficient == 0.3


def test_the_perceptual_term_sees_a_random_frame():
  clips, images = judged(small.MIXED)
  assert len(set(clips)) > 1 and set(images) == {0}
  assert ours(small.MIXED)[1]["perceptual"].coefficient == 0.2


def reference(task):
  """Gradients of every part alone: {part: gradient of all parameters}."""
  params, extra = fresh(task)
  frames = judged(task)

  def pieces(params):
    parts = passes(task)(params)

    def mean(function):
      return jnp.mean(jnp.concatenate([function(part) for part in parts]))

    def error(part):
      return jnp.mean(jnp.abs(part["made"] - part["video"]), (1, 2, 3, 4))

    def divergence(part):
      nats = part["means"] ** 2 + jnp.exp(part["logs"]) - 1 - part["logs"]
      return 0.5 * nats.sum((1, 2, 3, 4)) / part["video"][0].size

    def logits(video):
      tree = {"params": params["discriminator"]}
      return task.discriminator.apply(tree, video)

    def distance(part, at):
      rows = np.arange(len(at))
      gap = (part["made"] - part["video"])[rows, at] / 2
      flat = gap.reshape(len(at), -1)
      weights = extra["frozen"]["perceptual"]["weights"]
      return jnp.mean((flat @ weights) ** 2, -1)

    # The discriminator sees pseudo videos, whose last frame is clean.
    real, fake = (logits(parts[0][n][:, ::-1]) for n in ("video", "made"))
    found = {
      "absolute error": mean(error),
      "kl": mean(divergence),
      "generator": -jnp.mean(fake),
      "judging": jnp.mean(jnp.maximum(0, 1 - real))
      + jnp.mean(jnp.maximum(0, 1 + fake)),
    }
    every = [distance(p, at) for p, at in zip(parts, frames, strict=True)]
    found["perceptual"] = jnp.mean(jnp.concatenate(every))
    # Only clips have an opponent.
    found["numerator"] = jnp.mean(every[0])
    return found

  return jax.device_get(jax.jit(jax.jacrev(pieces))(params))


def adaptive(parts):
  """|numerator| / |generator| by the kernels that make pixels."""
  lengths = []
  for name in ("numerator", "generator"):
    head = parts[name]["network"]["decoder"]["head"]
    kernels = [
      leaf.ravel()
      for path, leaf in jax.tree_util.tree_leaves_with_path(head)
      if path[-1].key == "kernel"
    ]
    assert len(kernels) == 2
    lengths.append(np.linalg.norm(np.concatenate(kernels)))
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
  task = small.MIXED
  parts = reference(task)
  weight = adaptive(parts)
  assert 1e-3 < weight < 1e4
  np.testing.assert_allclose(values(task, "adaptive_weight"), weight, rtol=1e-3)
  weights = {
    "absolute error": 1.0,
    "kl": 0.3,
    "perceptual": 0.2,
    "generator": 0.7 * weight,
  }
  wanted = [(weights[p], g) for p, g in parts.items() if p in weights]
  expected = jax.tree.map(
    lambda *g: sum(w * x for (w, _), x in zip(wanted, g, strict=True)),
    *(g["network"] for _, g in wanted),
  )
  assert_close(ours(task)[0]["network"], expected)
  opponent = optimizers.DISCRIMINATOR
  assert_close(ours(task)[0][opponent], parts["judging"][opponent])
  for part, group in (("generator", opponent), ("judging", "network")):
    leak = jax.tree.leaves(parts[part][group])
    assert max(np.abs(x).max() for x in leak) > 1e-3, "if it were not held"


def test_the_adversarial_term_may_come_later():
  found = [forward(small.IMAGES)(step) for step in (0, 2, 3, 9)]
  weights = [terms["generator"].coefficient for terms in found]
  assert weights[0] == weights[1] == 0 < weights[2] == weights[3]
  judging = [terms["hinge_real"].coefficient for terms in found]
  assert judging == [1.0] * 4, "the discriminator learns at once"


def test_an_example_depends_on_its_image_and_key_alone():
  """Clips trade places with clips, single images with single images."""
  images, rows = inputs()
  order = np.array([5, 2, 6, 7, 0, 4, 1, 3])
  _, terms = jax.device_get(
    compiled(small.MIXED)(images[order], rows[order], 9)
  )
  clips = [CLIPS.index(i) for i in order[CLIPS]]
  alone = [len(CLIPS) + ALONE.index(i) for i in order[ALONE]]
  for name in ("absolute_error", "kl", "perceptual"):
    before = values(small.MIXED, name)
    after = terms[name].value
    np.testing.assert_allclose(after, before[clips + alone], rtol=1e-4)
    assert np.abs(after - before).max() > 1e-3


@pytest.mark.parametrize(
  "num, share, images", [(16, 0.25, 4), (2, 0.9, 1), (1, 0.5, 0)]
)
def test_the_share_of_images_is_rounded_and_leaves_a_clip(num, share, images):
  task = small.changed(adversarial=False, image_share=share)
  params, extra = fresh(task)
  batch = {"image": np.zeros((num, 8, 8, 1), np.uint8)}
  for train in (True, False) if share == 0.25 else (True,):
    terms, _ = jax.eval_shape(
      lambda key, train=train: task.loss(
        params, extra, batch, key=key, step=0, train=train
      ),
      jax.random.key(0),
    )
    alone = terms["image_error"].value.size if "image_error" in terms else 0
    assert alone == (images if train else 0)
    assert terms["absolute_error"].value.shape == (num,)
    assert terms["last_frame_error"].value.shape == (num - alone,)
    assert {"generator", "hinge_real", "hinge_fake"}.isdisjoint(terms)


@functools.cache
def through(task):
  """(pseudo videos) -> means, log-variances, videos of the means."""
  params, _ = fresh(small.CLIPS)

  @jax.jit
  def run(video):
    means, logs = task.posterior(params, video)
    return means, logs, task.decode(params, means, video.shape[1])

  return run


def pseudo_videos():
  images, rows = inputs()
  return small.CLIPS.pseudo_video({}, {}, images, key=rows)


@pytest.mark.parametrize(
  "task, same",
  [(small.CLIPS, -1), (small.FORWARD, 0)],
  ids=["reversed", "forward"],
)
def test_one_frame_of_a_clip_is_as_if_it_were_alone(task, same):
  """The clean one, or in forward order the most blurred one."""
  video = pseudo_videos()
  frame = video[:, same][:, None]
  alone, whole = through(task)(frame), through(task)(video)
  for of_frame, of_clip in zip(alone[:2], whole[:2], strict=True):
    np.testing.assert_allclose(of_clip[:, :1], of_frame, atol=1e-5)
  np.testing.assert_allclose(whole[2][:, same], alone[2][:, 0], atol=1e-5)
  other = through(task)(video[:, -1 - same][:, None])
  assert np.abs(whole[0][:, :1] - other[0]).max() > 1e-2
  assert whole[0].shape[1:] == task.latent_shape == (2, 4, 4, 4)


def test_evaluation_takes_the_means_of_clips():
  task = small.MIXED
  params, extra = fresh(task)
  images, rows = inputs()

  @jax.jit
  def evaluate(images):
    batch = {"image": images}
    terms, _ = task.loss(params, extra, batch, key=rows, step=0, train=False)
    return terms, task.reconstruct(params, extra, images, key=rows)

  terms, given_back = jax.device_get(evaluate(images))
  _, _, made = through(small.CLIPS)(pseudo_videos())
  made = np.float64(made)
  assert np.abs(made).max() > 1
  np.testing.assert_allclose(given_back, made.clip(-1, 1), atol=1e-5)
  error = np.abs(made - np.float64(pseudo_videos()))
  np.testing.assert_allclose(
    terms["absolute_error"].value, of_examples(error).mean(1), rtol=1e-4
  )
  np.testing.assert_allclose(
    terms["last_frame_error"].value,
    of_examples(error[:, -1]).mean(1),
    rtol=1e-4,
  )
  logged = {"absolute_error", "kl", "last_frame_error", "perceptual"}
  assert set(terms) == logged


def test_latents_of_another_number_of_frames_are_refused():
  task = small.CLIPS
  latents = np.zeros((1, 2, 4, 4, 4), np.float32)
  with pytest.raises(ValueError, match="2 latents stand for 3 frames, not"):
    jax.eval_shape(lambda z: task.decode(fresh(task)[0], z, 5), latents)


@pytest.mark.parametrize(
  "task, fields, said",
  [
    (small.IMAGES, dict(image_share=0.5), "must be 0 .* of 1 frame; got 0.5"),
    (
      small.CLIPS,
      dict(augmentation=augmentations.make("blur", frames=4)),
      "got 4: use 3 or 5",
    ),
    (
      small.CLIPS,
      dict(discriminator=small.CLIPS.discriminator.clone(layers=4)),
      "at most 3 for images of 8x8 pixels; got 4",
    ),
  ],
)
def test_mistakes_are_refused(task, fields, said):
  task.check()
  with pytest.raises(errors.UserError, match=said):
    small.changed(task, **fields).check()
