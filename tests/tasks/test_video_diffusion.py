"""Video diffusion: what is trained, what is sampled, given what."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pseudovideo import augmentations, data, errors, keys
from pseudovideo.diffusion import chain as chains
from pseudovideo.diffusion import process as processes
from pseudovideo.diffusion import random_windows
from pseudovideo.models import video_unet
from pseudovideo.samplers import autoregressive, settings
from pseudovideo.tasks import diffusion, video_diffusion

NET = video_unet.VideoUNet(
  channels=8, multipliers=(1, 1), blocks=1, attention=(1,), heads=2, groups=4,
)  # fmt: skip
TASK = video_diffusion.VideoDiffusion(
  image_shape=(8, 8, 1),
  model=NET,
  augmentation=augmentations.make("high_order", frames=4),
  process=processes.Process(steps=40),
  sampler=settings.Sampler(respacing="4"),
  context=2,
)
# With a network that compiles sooner; its middle attends.
SMALL = dataclasses.replace(
  TASK, model=NET.clone(multipliers=(1,), attention=())
)
# T = 4, C = 2, by hand: frame at each place, given, to be generated.
INDEX = np.array([[0, 1, 1], [0, 1, 2], [1, 2, 3]])
OBSERVED = np.array([[0, 0, 0], [1, 1, 0], [1, 1, 0]])
LATENT = np.array([[1, 1, 0], [0, 0, 1], [0, 0, 1]])


def changed(task=TASK, **fields):
  return dataclasses.replace(task, **fields)


def answering(predict, task=TASK):
  """The task with predict(x, time, window) -> eps in place of its network."""

  class Stub(type(task)):
    def _predict(self, params, x, time, window, dropout_key=None):
      return predict(x, time, window), None

  return Stub(**vars(task))


@functools.cache
def asking(task, train):
  """(extra, batch, key) -> what the network is asked in a loss, and the loss.

  The network says zero.
  """

  @jax.jit
  def run(extra, batch, key):
    asked = []

    def zero(*question):
      asked.append(question)
      return jnp.zeros_like(question[0])

    terms, extra = answering(zero, task).loss(
      {}, extra, batch, key=key, step=0, train=train
    )
    (question,) = asked
    return *question, terms, extra

  return run


def spied(task, images, key, *, train=True, extra=None, **batch):
  """Answers of `asking`, on the host."""
  run = asking(task, train)
  return jax.device_get(run(extra or {}, {"image": images, **batch}, key))


@pytest.fixture(scope="module")
def images():
  return np.asarray(data.load("digits").train_images[:64])


@pytest.fixture(scope="module")
def fresh():
  return SMALL.init(jax.random.key(0), None)


@pytest.fixture(scope="module")
def params(fresh):
  """Of a network that does something."""
  rng = np.random.default_rng(0)
  return jax.tree.map(
    lambda p: p + 0.1 * rng.normal(size=p.shape).astype(np.float32), fresh[0]
  )


@pytest.fixture(scope="module")
def drawn():
  """Stages, windows and noise that 64 examples of the tests' key draw."""

  @jax.jit
  def draw(key):
    rows = keys.example_keys(key, 64)
    windows = keys.named(rows, "window")
    return {
      "stage": keys.integers(windows, 64, 0, 3),
      "random": random_windows.draw(windows, 64, 4, 3),
      "noise": keys.normal(keys.named(rows, "noise"), (64, 3, 8, 8, 1)),
    }

  return jax.device_get(draw(jax.random.key(0)))


@pytest.fixture(scope="module")
def video(images):
  """The pseudo videos of the images, for the tests' key."""
  make = jax.jit(lambda x, key: TASK.pseudo_video({}, {}, x, key=key))
  return np.asarray(make(images, jax.random.key(0)))


# Training.


def test_an_untrained_network_loses_the_noise_of_latent_frames(
  images, fresh, drawn, key
):
  params, extra = fresh

  @jax.jit
  def loss(params, images):
    return SMALL.loss(
      params, extra, {"image": images}, key=key, step=0, train=True
    )[0]

  terms = jax.device_get(loss(params, images))
  stage = drawn["stage"]
  squares = np.square(np.float64(drawn["noise"])).mean((2, 3, 4))
  sums = (squares * LATENT[stage]).sum(1)
  # Padding, in the first window, never counts.
  of_latent = spied(changed(loss_over="latent"), images, key)[3]
  for (value, weight, coefficient), divisor, expected in (
    (terms["mse"], [2, 3, 3], [1, 1 / 3, 1 / 3]),
    (of_latent["mse"], [2, 1, 1], [1, 1, 1]),
  ):
    np.testing.assert_allclose(
      value, sums / np.array(divisor)[stage], rtol=1e-5
    )
    for number, mean in enumerate(expected):
      np.testing.assert_allclose(value[stage == number].mean(), mean, rtol=0.1)
    assert (weight == 1).all() and coefficient == 1
  # What is only logged is a mean over latent frames, whatever is trained.
  value, weight, coefficient = terms["latent_mse"]
  np.testing.assert_allclose(value, sums / LATENT[stage].sum(1), rtol=1e-5)
  assert (weight == 1).all() and coefficient == 0
  value, weight, coefficient = terms["last_frame_mse"]
  np.testing.assert_array_equal(weight, stage == 2)
  np.testing.assert_allclose(
    value[stage == 2], squares[stage == 2, 2], rtol=1e-5
  )
  assert coefficient == 0 and set(terms) == {
    "mse", "latent_mse", "last_frame_mse",
  }  # fmt: skip


def test_training_windows_are_those_of_sampling_equally_often(key):
  num = 3000
  task = changed(image_shape=(2, 2, 1))
  _, _, window, _, _ = spied(task, jnp.zeros((num, 2, 2, 1), jnp.uint8), key)
  stage = np.where(window.observed.any(1), window.index[:, 2] - 1, 0)
  np.testing.assert_array_equal(window.index, INDEX[stage])
  np.testing.assert_array_equal(window.observed, OBSERVED[stage])
  np.testing.assert_array_equal(window.latent, LATENT[stage])
  # Five standard deviations.
  assert np.abs(np.bincount(stage) - num / 3).max() < 5 * np.sqrt(num * 2 / 9)


def test_observed_frames_enter_clean_and_latent_ones_noisy(
  images, video, drawn, key
):
  x, time, window, _, _ = spied(TASK, images, key)
  frames = np.stack([v[i] for v, i in zip(video, window.index, strict=True)])
  given = window.observed[..., None, None, None]
  np.testing.assert_allclose(window.x0, given * frames, atol=1e-6)
  k = time / 25
  assert set(k) <= set(range(40)) and len(set(k)) > 20
  betas = np.linspace(1e-4 * 25, 0.02 * 25, 40)
  kept = np.cumprod(1 - betas)[k.astype(int)][:, None, None, None, None]
  expected = np.sqrt(kept) * frames + np.sqrt(1 - kept) * drawn["noise"]
  latent = window.latent > 0
  np.testing.assert_allclose(x[latent], expected[latent], atol=1e-5)


def test_the_pseudo_video_ends_with_the_image(images, video):
  assert video.shape == (64, 4, 8, 8, 1)
  expected = np.asarray(images) / 127.5 - 1
  np.testing.assert_allclose(video[:, -1], expected, atol=1e-6)
  # Betas .0001, .02505, .05; the last noise is that of frame 0.
  away = np.square(video - expected[:, None]).mean((0, 2, 3, 4))
  assert (np.diff(away) < 0).all() and 0.05 < away[0] < 0.2


def test_binarization_comes_before_the_augmentation(images, key):
  task = changed(binarize="bernoulli")
  make = jax.jit(lambda x, key: task.pseudo_video({}, {}, x, key=key))
  video = np.asarray(make(images, key))
  assert set(np.unique(video[:, -1])) == {-1.0, 1.0}
  noise = video[:, 2] - np.sqrt(1 - 1e-4) * video[:, 3]
  np.testing.assert_allclose(noise.std(), 0.01, rtol=0.05)


def test_fixed_noise_belongs_to_the_image(images):
  seeds = [keys.example_keys(jax.random.key(seed), 3) for seed in (1, 2)]
  fixed, fresh = (
    jax.jit(task.pseudo_video) for task in (changed(fixed_noise=True), TASK)
  )

  def video(make, index, seed, images=images[:3]):
    made = make({}, {}, images, key=seeds[seed], index=np.array(index))
    return np.asarray(made)

  first = video(fixed, [7, 8, 9], 0)
  again = video(fixed, [9, 8, 7], 1, images[2::-1])
  np.testing.assert_array_equal(again[::-1], first)
  elsewhere = video(fixed, [8, 9, 10], 0)
  assert (elsewhere != first)[:, :-1].mean() > 0.9
  new = [video(fresh, [7, 8, 9], seed) for seed in (0, 1)]
  assert (new[0] != new[1])[:, :-1].mean() > 0.9
  # The loss is told the index.
  two = augmentations.make("high_order", frames=2)
  for fixed in (True, False):
    task = changed(augmentation=two, context=1, fixed_noise=fixed)
    a, b = (
      spied(task, images, jax.random.key(seed), index=np.arange(64))[2]
      for seed in (1, 2)
    )
    both = (a.observed > 0) & (b.observed > 0)
    assert both.sum() > 5
    assert (a.x0[both] == b.x0[both]).all() == fixed


def test_random_windows_are_those_of_the_published_code(images, drawn, key):
  task = changed(training_windows="random")
  _, _, window, terms, _ = spied(task, images, key)
  for ours, theirs in zip(window[:3], drawn["random"], strict=True):
    np.testing.assert_array_equal(ours, theirs)
  count = window.latent.sum(1) + window.observed.sum(1)
  expected = window.latent.sum(1) / count
  np.testing.assert_allclose(
    terms["mse"].value.mean(), expected.mean(), rtol=0.05
  )


def test_losses_at_each_step_are_remembered_in_training_only(images, key):
  task = changed(
    process=processes.Process(steps=40, timesteps="loss_second_moment")
  )
  start = diffusion.initial_extra(task.process)
  assert set(start["state"]) == {"timesteps"}
  _, time, _, terms, after = spied(task, images, key, extra=start)
  k = (time / 25).astype(int)
  np.testing.assert_array_equal(
    after["state"]["timesteps"]["counts"],
    np.bincount(k, minlength=40).clip(0, 10),
  )
  expected = np.zeros((40, 10))
  for step in set(k):
    here = terms["mse"].value[k == step][-10:]
    expected[step, : len(here)] = here
  np.testing.assert_allclose(
    after["state"]["timesteps"]["losses"], expected, rtol=1e-5
  )
  *_, same = spied(task, images, key, extra=start, train=False)
  assert not same["state"]["timesteps"]["counts"].any()


# Padding.


def test_padding_carries_no_information(video, params):
  rng = np.random.default_rng(0)
  x = rng.normal(size=(3, 3, 8, 8, 1)).astype(np.float32)
  _, window = jax.device_get(
    jax.jit(autoregressive.gather)(video[:3], INDEX, OBSERVED, LATENT)
  )
  ask = jax.jit(
    lambda x, w: SMALL._predict(params, x, jnp.full(3, 500.0), w)[0]
  )
  before = np.asarray(ask(x, window))
  padding = ~(OBSERVED | LATENT).astype(bool)
  assert padding.sum() == 1
  hole = padding[..., None, None, None]
  noisy = np.where(hole, 9.0, x).astype(np.float32)
  filled = window._replace(
    x0=np.where(hole, np.float32(9), window.x0),
    index=np.where(padding, 3, window.index),
  )
  after = np.asarray(ask(noisy, filled))
  np.testing.assert_array_equal(after[~padding], before[~padding])
  # The frame beside it is not deaf: what is real does count.
  louder = x + np.float32(INDEX == 1)[..., None, None, None]
  louder = np.asarray(ask(louder, window))
  assert np.abs(louder - before)[0, 0].max() > 1e-3


class Leaky:
  """In place of the network: NaN once padding is anything but zero."""

  def apply(self, variables, x, time, *, observed, latent, **rest):
    hole = ((observed + latent) == 0)[:, :, None, None, None]
    leak = jnp.any(jnp.where(hole, x != 0, False), axis=(1, 2, 3, 4))
    return jnp.where(leak[:, None, None, None, None], jnp.nan, 0) + 0 * x


def test_neither_training_nor_sampling_shows_noise_as_padding(images, key):
  ones = jnp.ones((1, 3, 2, 2, 1))
  mask = jnp.asarray(LATENT[:1])
  direct = Leaky().apply({}, ones, None, observed=0 * mask, latent=mask)
  assert jnp.isnan(direct).all(), "it would be noticed"
  task = changed(model=Leaky())

  @jax.jit
  def run(images, key):
    batch = {"image": images}
    losses = [
      changed(task, training_windows=kind)
      .loss({}, {}, batch, key=key, step=0, train=True)[0]["mse"]
      .value
      for kind in ("stages", "random")
    ]
    return losses, task.sample({}, {}, key=key, num=2)

  for values in jax.tree.leaves(run(images, key)):
    assert np.isfinite(values).all()


# Sampling.


def oracle(process, target):
  """The exact noise if the frames are `target(window)`."""
  kept = jnp.asarray(np.cumprod(1 - process.betas()), jnp.float32)

  def predict(x, time, window):
    k = jnp.round(time * process.steps / 1000).astype(jnp.int32)
    ab = kept[k][:, None, None, None, None]
    x0 = target(x, ab, window)
    return (x - jnp.sqrt(ab) * x0) / jnp.sqrt(1 - ab)

  return predict


SCHEMES = {
  "autoregressive": (
    dict(scheme="autoregressive", context=2),
    [((), (0, 1)), ((0, 1), (2,)), ((1, 2), (3,)), ((2, 3), (4,))],
  ),
  "blockwise": (
    dict(scheme="blockwise", context=0, window=3, new_frames=2),
    [((), (0, 1, 2)), ((2,), (3, 4))],
  ),
}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_each_stage_continues_the_frames_that_were_generated(scheme, key):
  """Data: first frames N(0, .3^2), later ones determined by those given.

  For both the best predictor is known: E[x0 | x_k] of a Gaussian, and the
  frame itself.
  """
  fields, stages = SCHEMES[scheme]
  process = processes.Process(steps=1000)
  task = changed(
    image_shape=(2, 2, 1),
    augmentation=augmentations.make("first_order", frames=5),
    process=process,
    sampler=settings.Sampler(),
    **fields,
  )
  assert task.stages == tuple(stages)

  def target(x, ab, window):
    first = 0.09 * jnp.sqrt(ab) * x / (0.09 * ab + 1 - ab)
    weight = (window.index + 1.0)[:, :, None, None, None] / 8
    given = jnp.sum(weight * window.x0, axis=1, keepdims=True)
    later = given + 0.05 * window.index[:, :, None, None, None]
    is_first = jnp.all(window.observed == 0, axis=1)[:, None, None, None, None]
    return jnp.where(is_first, first, later)

  num = 400
  knows = answering(oracle(process, target), task)
  video = np.asarray(
    jax.jit(lambda key: knows.sample({}, {}, key=key, num=num))(key)
  )
  assert video.shape == (num, 5, 2, 2, 1)
  for observed, latent in stages[1:]:
    given = sum((i + 1) / 8 * video[:, i] for i in observed)
    for i in latent:
      np.testing.assert_allclose(video[:, i], given + 0.05 * i, atol=1e-4)
  first = video[:, list(stages[0][1])].swapaxes(0, 1).reshape(-1, 4 * num)
  np.testing.assert_allclose(first.std(1), 0.3, rtol=0.08)
  np.testing.assert_allclose(first.mean(1), 0, atol=0.03)
  independent = np.corrcoef(first)[np.triu_indices(len(first), 1)]
  assert np.abs(independent).max() < 0.12


def constant(value):
  return lambda x, ab, window: jnp.full_like(x, value)


@pytest.mark.parametrize(
  ("method", "clip"),
  [("ancestral", True), ("ddim", False), ("dpm_solver", False)],
)
def test_every_method_returns_what_the_network_knows(method, clip, key):
  """The image is clamped, and pseudo frames are if so wished."""
  sampler = settings.Sampler(
    method, "4", float(method == "ddim"), clip_pseudo_frames=clip
  )
  knows = answering(
    oracle(TASK.process, constant(1.7)), changed(sampler=sampler)
  )
  video = jax.jit(lambda key: knows.sample({}, {}, key=key, num=2))(key)
  np.testing.assert_allclose(video[:, -1], 1, atol=1e-6)
  np.testing.assert_allclose(video[:, :-1], 1 if clip else 1.7, atol=1e-4)


def test_network_evaluations_are_counted_right(key):
  respacing, per_stage, times = "4/3/2", (4, 3, 2), []

  def counting(x, time, window):
    jax.debug.callback(
      lambda t, i: times.append((int(i[-1]), float(t))),
      time[0],
      window.index[0],
      ordered=True,
    )
    return jnp.zeros_like(x)

  task = changed(sampler=settings.Sampler(respacing=respacing))
  answering(counting, task).sample({}, {}, key=key, num=1)
  jax.effects_barrier()
  assert len(times) == task.network_evaluations == sum(per_stage)
  for last, count in zip(INDEX[:, -1], per_stage, strict=True):
    expected = chains.Chain.of(task.process, str(count)).times[::-1]
    assert [t for i, t in times if i == last] == pytest.approx(list(expected))


def test_samples_depend_on_their_keys_only(params, key):
  """All frames are clamped: the first estimates of x0 are 300 times the noise.

  So they would multiply rounding errors of the network.
  """
  sampler = settings.Sampler(respacing="4", clip_pseudo_frames=True)
  task = changed(SMALL, sampler=sampler)
  sample = jax.jit(
    lambda rows: task.sample(params, {}, key=rows, num=len(rows))
  )
  rows = keys.example_keys(key, 3)
  together = np.asarray(sample(rows))
  alone = np.asarray(sample(rows[1:2]))
  assert together.shape == (3, 4, 8, 8, 1)
  np.testing.assert_allclose(alone[0], together[1], atol=1e-4)
  assert np.abs(together[0] - together[1]).max() > 0.1
  assert np.abs(together[:, -1]).max() <= 1


# Fields that cannot work.


@pytest.mark.parametrize(
  "fields, words",
  [
    (dict(context=5), "task.context must be between 1 and the 4 frames"),
    (dict(window=3), "no task.window"),
    (dict(new_frames=1), "no task.new_frames"),
    (
      dict(scheme="blockwise", window=3, new_frames=1),
      "no task.context",
    ),
    (
      dict(scheme="blockwise", context=0, window=5, new_frames=1),
      "task.window must be between 1 and the 4 frames",
    ),
    (
      dict(scheme="blockwise", context=0, window=3, new_frames=0),
      "task.new_frames must be between 1 and task.window",
    ),
    (
      dict(training_windows="random", context=3),
      "a window of 4 frames",
    ),
    (
      dict(sampler=settings.Sampler(respacing="4/4")),
      "sampler.respacing '4/4'",
    ),
    (dict(image_shape=(7, 8, 1)), "7x8"),
    (
      dict(process=processes.Process(steps=40, loss="hybrid")),
      "process.variance 'learned'",
    ),
  ],
)  # fmt: skip
def test_impossible_fields_are_refused(fields, words):
  TASK.check()
  with pytest.raises(errors.UserError) as caught:
    changed(**fields).check()
  assert words in str(caught.value) and str(caught.value).endswith(".")


def test_an_image_that_the_augmentation_cannot_have_is_refused():
  """Reflection needs more pixels than the filter reaches."""
  task = changed(augmentation=augmentations.make("high_order_blur", frames=4))
  task.check()
  with pytest.raises(errors.UserError):
    changed(task, image_shape=(4, 4, 1)).check()


def test_the_window_is_as_wide_as_the_widest_stage():
  assert TASK.frames == 4 and len(TASK.stages) == 3
  for context, width in ((1, 2), (2, 3), (3, 4), (4, 4)):
    assert changed(context=context)._width == width
