"""Latent diffusion: which latents are learned, and what becomes of samples."""

import dataclasses
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import latent_diffusion as latent_configs
from pseudovideo import (
  augmentations,
  configuration,
  errors,
  evaluate,
  first_stages,
  keys,
  latents,
  main,
  results,
  runs,
  train,
  writer,
)
from pseudovideo.diffusion import timesteps
from pseudovideo.samplers import settings
from pseudovideo.tasks import (
  image_diffusion,
  latent_diffusion,
  video_diffusion,
)
from tests.tasks import small_tokenizers, small_vaes

NUM = 6
SHAPE = (8, 8, 1)
# (t, h, w, Z) of 5 frames in groups of two, and of 1.
LATENTS = {"videos": (3, 4, 4, 4), "images": (1, 4, 4, 2)}
# What is kept of a clean signal; the preset has 40 steps.
KEPT = np.cumprod(1 - np.linspace(1e-4 * 25, 0.02 * 25, 40))
IMAGES = small_tokenizers.images(NUM)
ROWS = keys.example_keys(jax.random.key(5), NUM)


def config(workdir):
  raw = configuration.complete(latent_configs.get_config("preset=tiny"))
  raw["autoencoder"]["workdir"] = str(workdir)
  raw["train"].update(log_every=1, eval_every=6)
  raw["evaluate"].update(num_samples=8, batch_size=4, metrics="FD")
  return raw


def changed(task, **fields):
  return dataclasses.replace(task, **fields)


@dataclasses.dataclass
class Case:
  """A task that was begun, and the VAE that it is of."""

  vae: runs.Run
  task: latent_diffusion.LatentDiffusion
  params: dict
  extra: dict
  shape: tuple


def begin(workdir, kind):
  raw = first_stages.look_up(config(workdir))
  task = configuration.parse(raw).make_task(SHAPE)
  vae = runs.restore(workdir)
  params, extra = task.init(jax.random.key(3), vae.image_set)
  # Away from an output of zeros.
  rng = np.random.default_rng(0)
  params = jax.tree.map(
    lambda p: p + 0.1 * rng.normal(size=p.shape).astype(np.float32), params
  )
  return Case(vae, task, params, extra, LATENTS[kind])


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
  workdir = small_vaes.save_run(tmp_path_factory.mktemp("videos"), frames=5)
  return begin(workdir, "videos")


@pytest.fixture(scope="module", params=LATENTS)
def case(request, videos, tmp_path_factory):
  if request.param == "videos":
    return videos
  workdir = small_vaes.save_run(tmp_path_factory.mktemp("images"), frames=1)
  return begin(workdir, "images")


def by_hand(case, *, order="reversed", sampled=True):
  """Latents of IMAGES, from the network of the VAE, in float64."""
  vae = case.vae
  video = vae.task.pseudo_video({}, {}, IMAGES, key=ROWS)
  if order == "reversed":
    video = video[:, ::-1]
  means, logs = vae.task.model.apply(
    {"params": vae.params["network"]}, video, method="encode"
  )
  z, logs = np.float64(means), np.float64(logs)
  if sampled:
    noise = keys.normal(keys.named(ROWS, "latents"), means.shape)
    z = z + np.exp(logs / 2) * np.float64(noise)
  scaling = latents.estimate(
    vae, vae.image_set.train_images, batch_size=200, seed=0
  )
  return scaling.scale * (z - scaling.shift)


@pytest.fixture(scope="module")
def expected(case):
  return by_hand(case)


# What is learned.


def test_scale_and_shift_are_those_of_training_images(case):
  vae = case.vae
  found = latents.estimate(vae, vae.image_set.train_images, batch_size=200)
  scaling = case.extra["scaling"]
  assert set(scaling) == {"scale", "shift"}
  assert abs(found.scale - 1) > 0.1 and abs(found.shift) > 0.1
  assert float(scaling["scale"]) == pytest.approx(found.scale, rel=1e-4)
  assert float(scaling["shift"]) == pytest.approx(found.shift, abs=1e-5)
  batch = vae.image_set.train_images[:512]
  drawn = jax.jit(
    lambda images: case.task.to_latents(
      case.extra, images, key=jax.random.key(1)
    )
  )(batch)
  assert abs(np.mean(drawn)) < 0.05 and abs(np.std(drawn) - 1) < 0.05


def test_latents_are_drawn_scaled_and_shifted(case, expected):
  task = case.task
  assert expected.shape == (NUM, *case.shape)
  found = task.to_latents(case.extra, IMAGES, key=ROWS)
  np.testing.assert_allclose(found, expected, atol=1e-4)
  means = changed(task, latents="means")
  found = means.to_latents(case.extra, IMAGES, key=ROWS)
  np.testing.assert_allclose(found, by_hand(case, sampled=False), atol=1e-4)
  assert np.abs(found - expected).max() > 1e-3


def test_in_reversed_order_the_image_has_latents_of_its_own(videos):
  """Frame 0, that of the image alone; forward, it is none of them."""
  task = changed(videos.task, latents="means")
  alone, _ = videos.vae.task.posterior(
    videos.vae.params, IMAGES[:, None] / np.float32(127.5) - 1
  )
  scaling = videos.extra["scaling"]
  alone = scaling["scale"] * (alone[:, 0] - scaling["shift"])
  found = task.to_latents(videos.extra, IMAGES, key=ROWS)
  np.testing.assert_allclose(found[:, 0], alone, atol=1e-4)
  assert task.denoiser.image_place == 0
  forward = changed(task, coder=changed(task.coder, order="forward"))
  found = forward.to_latents(videos.extra, IMAGES, key=ROWS)
  np.testing.assert_allclose(
    found, by_hand(videos, order="forward", sampled=False), atol=1e-4
  )
  nearest = np.abs(found - alone[:, None]).max((0, 2, 3, 4))
  assert nearest.min() > 1e-2
  assert forward.denoiser.image_place == 2


def test_the_loss_is_that_of_the_pixel_tasks_of_latents(case, expected):
  """And that of noise and network put together by hand."""
  task, frames = case.task, case.shape[0]
  process, z = task.process, jnp.float32(expected)
  rest = dict(
    image_shape=case.shape[1:], process=process, sampler=settings.Sampler()
  )
  if frames == 1:
    network = task.denoiser.model
    pixels = image_diffusion.ImageDiffusion(model=network, **rest)
    loss, given = pixels.image_loss, z[:, 0]
  else:
    network = task.model
    pixels = video_diffusion.VideoDiffusion(
      model=network,
      augmentation=augmentations.make("high_order", frames=frames),
      context=frames,
      **rest,
    )
    loss, given = pixels.video_loss, z
  ours, kept = task.loss(
    case.params, case.extra, {"image": IMAGES}, key=ROWS, step=0, train=True
  )
  theirs, _ = loss(case.params, {}, given, key=ROWS, train=True)
  np.testing.assert_allclose(ours["mse"].value, theirs["mse"].value, rtol=1e-4)
  assert set(ours) == set(theirs)
  jax.tree.map(np.testing.assert_array_equal, kept, case.extra)

  k, _ = timesteps.draw_uniform(keys.named(ROWS, "timestep"), NUM, 40)
  eps = np.float64(keys.normal(keys.named(ROWS, "noise"), expected.shape))
  kept = KEPT[np.asarray(k)][:, None, None, None, None]
  x = jnp.float32(np.sqrt(kept) * expected + np.sqrt(1 - kept) * eps)
  weights, time = {"params": case.params}, jnp.float32(25 * k)
  if frames == 1:
    answer = network.apply(weights, x[:, 0], time)[:, None]
  else:
    ones = jnp.ones((NUM, frames))
    answer = network.apply(
      weights,
      x,
      time,
      x0=jnp.zeros_like(x),
      observed=0 * ones,
      latent=ones,
      frame_indices=jnp.arange(frames)[None] * ones.astype(int),
    )
  squares = np.square(np.float64(answer) - eps).mean((2, 3, 4))
  np.testing.assert_allclose(ours["mse"].value, squares.mean(1), rtol=1e-3)
  assert (ours["mse"].weight == 1).all() and ours["mse"].coefficient == 1
  if frames > 1:
    # The clean image's latents are frame 0, not the last one.
    found = ours["last_frame_mse"]
    np.testing.assert_allclose(found.value, squares[:, 0], rtol=1e-3)
    assert (found.weight == 1).all() and found.coefficient == 0
    assert np.abs(squares[:, 0] - squares[:, -1]).max() > 0.01


def test_losses_at_each_step_are_remembered_beside_the_vae(videos):
  process = changed(videos.task.process, timesteps="loss_second_moment")
  task = changed(videos.task, process=process)
  _, state = task.denoiser.init(jax.random.key(0), None)
  extra = videos.extra | state
  batch = {"image": IMAGES}
  _, kept = task.loss(videos.params, extra, batch, key=ROWS, step=0, train=True)
  assert set(kept) == {"autoencoder", "scaling", "timesteps"}
  before, after = map(jax.tree.leaves, (state["timesteps"], kept["timesteps"]))
  assert any((a != b).any() for a, b in zip(before, after, strict=True))
  for name in ("autoencoder", "scaling"):
    jax.tree.map(np.testing.assert_array_equal, kept[name], extra[name])


def test_a_pseudo_video_is_that_of_the_vae(case):
  video = case.task.pseudo_video({}, case.extra, IMAGES, key=ROWS)
  frames = {3: 5, 1: 1}[case.shape[0]]
  assert video.shape == (NUM, frames, *SHAPE)
  np.testing.assert_allclose(video[:, -1], IMAGES / 127.5 - 1, atol=1e-6)
  np.testing.assert_array_equal(
    video, case.vae.task.pseudo_video({}, {}, IMAGES, key=ROWS)
  )


# What is drawn.


@pytest.mark.parametrize("method", ["ancestral", "ddim"])
def test_a_network_that_knows_the_latents_gives_reconstructions(
  case, method, monkeypatch
):
  """Latents beyond [-1, 1] are not clamped, pixels are; the image is last."""
  sampler = settings.ChainSampler(method, "7")
  task = changed(case.task, latents="means", sampler=sampler)
  known = task.to_latents(case.extra, IMAGES, key=ROWS)
  assert np.mean(np.abs(known) > 1) > 0.1
  kept, times = jnp.asarray(KEPT, jnp.float32), []

  def predict(self, params, x, time, *rest):
    jax.debug.callback(lambda t: times.append(float(t)), time[0], ordered=True)
    ab = kept[jnp.round(time / 25).astype(jnp.int32)]
    ab = ab.reshape(NUM, *[1] * (x.ndim - 1))
    return (x - jnp.sqrt(ab) * known.reshape(x.shape)) / jnp.sqrt(1 - ab), None

  monkeypatch.setattr(type(task.denoiser), "_predict", predict)
  video = jax.jit(
    lambda rows: task.sample({}, case.extra, key=rows, num=NUM)
  )(ROWS)  # fmt: skip
  jax.effects_barrier()
  assert len(times) == task.network_evaluations == 7
  vae = case.vae
  expected = vae.task.reconstruct(vae.params, {}, IMAGES, key=ROWS)
  np.testing.assert_allclose(video, expected, atol=2e-3)
  assert np.abs(expected[:, -1] - expected[:, 0]).max() > 0.01 or (
    video.shape[1] == 1
  )


def test_samples_depend_on_their_keys_only(case):
  sample = jax.jit(
    lambda rows: case.task.sample(
      case.params, case.extra, key=rows, num=len(rows)
    )
  )
  together, alone = sample(ROWS[:3]), sample(ROWS[1:2])
  assert together.shape == (3, {3: 5, 1: 1}[case.shape[0]], *SHAPE)
  np.testing.assert_allclose(alone[0], together[1], atol=1e-3)
  assert np.abs(together[0] - together[1]).max() > 0.01
  assert np.abs(together).max() <= 1


# Runs.


@pytest.fixture(scope="module")
def copied(videos, tmp_path_factory):
  """A VAE's folder that a test removes."""
  workdir = tmp_path_factory.mktemp("copied") / "vae"
  return shutil.copytree(videos.vae.workdir, workdir)


@pytest.fixture(scope="module")
def run(copied, tmp_path_factory):
  workdir = tmp_path_factory.mktemp("latents")
  assert train.train(config(copied), workdir).step == 6
  return runs.restore(workdir)


@pytest.mark.slow
def test_training_changes_the_network_and_nothing_of_the_vae(run, videos):
  vae, kept = videos.vae, run.extra["autoencoder"]
  assert set(kept) == {"params"} and set(kept["params"]) == {"network"}
  jax.tree.map(
    np.testing.assert_array_equal,
    kept["params"]["network"],
    vae.params["network"],
  )
  jax.tree.map(
    np.testing.assert_array_equal, run.extra["scaling"], videos.extra["scaling"]
  )
  fresh, _ = run.task.denoiser.init(jax.random.key(0), None)
  assert jax.tree.structure(run.params) == jax.tree.structure(fresh)
  head = run.params["head"]["kernel"]
  assert (fresh["head"]["kernel"] == 0).all() and np.abs(head).max() > 1e-4
  rows = writer.read_metrics(run.workdir)
  first = next(r for r in rows if r["split"] == "train")
  # An untrained network loses the noise.
  assert abs(first["loss"] - 1) < 0.2 and first["step"] == 1
  assert {r["step"] for r in rows if r["split"] == "held_out"} == {6}


@pytest.mark.slow
def test_a_run_in_two_parts_has_the_same_bits(run, copied, tmp_path):
  """Its learning rate is constant, so that it may be made longer."""
  short = config(copied)
  short["train"]["steps"] = 3
  assert train.train(short, tmp_path).step == 3
  assert train.train(config(copied), tmp_path).step == 6
  again = runs.restore(tmp_path)
  for ours, theirs in ((again.params, run.params), (again.extra, run.extra)):
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


@pytest.mark.slow
def test_the_vae_s_folder_is_not_needed_any_more(run, copied):
  """But training goes on only with the VAE that it began with."""
  first = evaluate.draw(run)
  assert first.images.shape == (8, *SHAPE) and first.videos.shape[1] == 5
  away = copied.rename(copied.with_name("away"))
  try:
    again = runs.restore(run.workdir)
    np.testing.assert_array_equal(evaluate.draw(again).images, first.images)
    evaluate.evaluate(again)
    assert main.main(["--mode=train", f"--workdir={run.workdir}"]) == 2
  finally:
    away.rename(copied)
  record = results.read(run.workdir / evaluate.RESULTS_FILE)
  assert record["network_evaluations"] == 4
  assert record["config"]["autoencoder"]["hash"] == latents.autoencoder_hash(
    runs.restore(copied)
  )
  assert "reconstruction" not in record
  assert "FD-digitscls" in record["metrics"]["generated"]


# What is refused.


@pytest.mark.parametrize(
  ("fields", "words"),
  [
    ({"binarize": "threshold"}, "'threshold', but the autoencoder was trained"),
    ({"latents": "mean"}, "task.latents.*did you mean 'means'"),
    (
      {"model": {"multipliers": (1, 1, 1, 1)}},
      "4 levels.*latents must be divisible by 8; the autoencoder makes.* 4x4",
    ),
    ({"model": {"out_channels": 3}}, "out_channels.*must be None; got 3"),
    ({"model": {"heads": 3}}, "model.heads must divide"),
    ({"process": {"steps": 1}}, "process.steps must be at least 2"),
    ({"sampler": {"respacing": "4/4"}}, "lists 2 stages.*the schedule has 1"),
    ({"sampler": {"method": "dim"}}, "did you mean 'ddim'"),
  ],
)
def test_impossible_fields_are_refused(case, fields, words):
  case.task.check()
  new = {}
  for name, value in fields.items():
    if isinstance(value, dict):
      value = dataclasses.replace(getattr(case.task, name), **value)
    new[name] = value
  with pytest.raises(errors.UserError, match=words) as caught:
    changed(case.task, **new).check()
  said = str(caught.value)
  assert said.endswith(".") and "\n" not in said


def test_fields_of_pixels_are_unknown():
  raw = config("anywhere")
  raw["sampler"]["clip_pseudo_frames"] = True
  with pytest.raises(errors.UserError, match="no field of sampler named 'clip"):
    configuration.parse(raw)
  raw = config("anywhere") | {"augmentation": dict(name="blur", frames=5)}
  with pytest.raises(errors.UserError, match="no section of the config named"):
    configuration.parse(raw)
