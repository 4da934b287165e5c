"""Latent diffusion: which latents are learned, and what becomes of samples."""

import dataclasses
import functools
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import latent_diffusion as latent_configs
from pseudovideo import errors, keys, main, runs
from pseudovideo.config import parsing
from pseudovideo.diffusion import timesteps
from pseudovideo.evaluation import evaluate
from pseudovideo.first_stages import given, latents, look_up
from pseudovideo.runs import metric_log
from pseudovideo.samplers import settings
from pseudovideo.tasks import base, latent_diffusion
from pseudovideo.training import loop
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
  raw = parsing.complete(latent_configs.get_config("preset=tiny"))
  raw["autoencoder"]["workdir"] = str(workdir)
  raw["model"].update(multipliers=(1,), attention=())
  raw["train"].update(log_every=1, eval_every=0)
  raw["evaluate"].update(num_samples=8, batch_size=8)
  return raw


def changed(task, **fields):
  return dataclasses.replace(task, **fields)


@dataclasses.dataclass
class Case:
  """A task that was begun with IMAGES alone, and the VAE that it is of."""

  vae: runs.Run
  task: latent_diffusion.LatentDiffusion
  params: dict
  extra: dict
  shape: tuple

  def to_latents(self, **fields):
    """Latents of IMAGES, by the task with other fields."""
    task = changed(self.task, **fields)
    run = jax.jit(lambda extra, x, rows: task.to_latents(extra, x, key=rows))
    return np.asarray(run(self.extra, IMAGES, ROWS))

  @functools.cached_property
  def means(self):
    """Gives what is learned without noise."""
    return self.to_latents(latents="means")

  @functools.cached_property
  def video(self):
    """The pseudo videos of IMAGES."""
    make = jax.jit(
      lambda x, rows: self.task.pseudo_video({}, self.extra, x, key=rows)
    )
    return np.asarray(make(IMAGES, ROWS))

  @functools.cached_property
  def encode(self):
    """(video) -> means and log-variances of the VAE's network, in float64."""
    variables = {"params": self.vae.params["network"]}
    run = jax.jit(
      lambda x: self.vae.task.model.apply(variables, x, method="encode")
    )
    return lambda video: tuple(map(np.float64, run(video)))

  @functools.cached_property
  def scaling(self):
    """Deviation and mean of the latents that training draws, by formula."""
    means, logs = self.encode(self.video[:, ::-1])
    return np.sqrt(means.var() + np.exp(logs).mean()), means.mean()

  def by_hand(self, *, order="reversed", sampled=True):
    """Latents of IMAGES in float64."""
    z, logs = self.encode(self.video[:, :: -1 if order == "reversed" else 1])
    if sampled:
      noise = keys.normal(keys.named(ROWS, "latents"), z.shape)
      z = z + np.exp(logs / 2) * np.float64(noise)
    deviation, shift = self.scaling
    return (z - shift) / deviation


def begin(workdir, kind):
  raw = look_up.look_up(parsing.parse(config(workdir))).raw
  task = parsing.parse(raw).make_task(SHAPE)
  vae = runs.restore(workdir)
  few = dataclasses.replace(vae.image_set, train_images=IMAGES)
  params, extra = given.init(task, jax.random.key(3), few)
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


@pytest.fixture(scope="module")
def expected(case):
  return case.by_hand()


# What is learned.


def test_latents_are_drawn_scaled_and_shifted(case, expected):
  """Mean and variance are then 0 and 1 over training images, here IMAGES."""
  scaling, (deviation, shift) = case.extra["frozen"]["scaling"], case.scaling
  assert set(scaling) == {"scale", "shift"}
  assert abs(deviation - 1) > 0.1 and abs(shift) > 0.1
  np.testing.assert_allclose(scaling["scale"], 1 / deviation, rtol=1e-4)
  np.testing.assert_allclose(scaling["shift"], shift, rtol=1e-4)
  assert expected.shape == (NUM, *case.shape)
  np.testing.assert_allclose(case.to_latents(), expected, atol=1e-4)
  np.testing.assert_allclose(case.means, case.by_hand(sampled=False), atol=1e-4)
  assert np.abs(case.means - expected).max() > 1e-3


def test_in_reversed_order_the_image_has_latents_of_its_own(videos):
  """Frame 0, that of the image alone; forward, it is none of them."""
  alone, _ = videos.encode(videos.video[:, -1:])
  deviation, shift = videos.scaling
  alone = (alone[:, 0] - shift) / deviation
  np.testing.assert_allclose(videos.means[:, 0], alone, atol=1e-4)
  assert videos.task.denoiser.image_place == 0
  coder = changed(videos.task.coder, order="forward")
  found = videos.to_latents(latents="means", coder=coder)
  np.testing.assert_allclose(
    found, videos.by_hand(order="forward", sampled=False), atol=1e-4
  )
  nearest = np.abs(found - alone[:, None]).max((0, 2, 3, 4))
  assert nearest.min() > 1e-2
  assert changed(videos.task, coder=coder).denoiser.image_place == 2


def test_the_loss_is_that_of_noise_and_network_put_together(case, expected):
  """Videos remember their losses at each step, beside the VAE."""
  frames, task, extra = case.shape[0], case.task, case.extra
  if frames > 1:
    process = changed(task.process, timesteps="loss_second_moment")
    task = changed(task, process=process)
    extra = base.with_state(extra, timesteps=timesteps.init(40))

  @jax.jit
  def run(params, extra, images, rows):
    step_rows = keys.named(rows, "timestep")
    if frames > 1:
      k, _ = timesteps.draw(step_rows, NUM, extra["state"]["timesteps"])
    else:
      k, _ = timesteps.draw_uniform(step_rows, NUM, 40)
    eps = keys.normal(keys.named(rows, "noise"), expected.shape)
    batch = {"image": images}
    loss = task.loss(params, extra, batch, key=rows, step=0, train=True)
    return *loss, k, eps

  ours, kept, k, eps = jax.device_get(run(case.params, extra, IMAGES, ROWS))
  for name, tree in case.extra["frozen"].items():
    jax.tree.map(np.testing.assert_array_equal, kept["frozen"][name], tree)
  assert set(kept) == set(extra)
  part = KEPT[k][:, None, None, None, None]
  x = np.float32(np.sqrt(part) * expected + np.sqrt(1 - part) * eps)
  given, rest = x[:, 0], {}
  if frames > 1:
    ones = np.ones((NUM, frames), np.float32)
    given, rest = x, dict(x0=0 * x, observed=0 * ones, latent=ones)
    rest["frame_indices"] = np.arange(frames)[None] * ones.astype(int)
  answer = jax.jit(task.denoiser.model.apply)(
    {"params": case.params}, given, np.float32(25 * k), **rest
  )
  answer = np.float64(answer)
  squares = np.square(answer.reshape(eps.shape) - eps).mean((2, 3, 4))
  np.testing.assert_allclose(ours["mse"].value, squares.mean(1), rtol=1e-3)
  np.testing.assert_allclose(ours["mse"].weight, 1, rtol=1e-5)
  assert ours["mse"].coefficient == 1
  if frames == 1:
    assert set(ours) == {"mse"}
    return
  assert set(ours) == {"mse", "latent_mse", "last_frame_mse"}
  # The clean image's latents are frame 0, not the last one.
  found = ours["last_frame_mse"]
  np.testing.assert_allclose(found.value, squares[:, 0], rtol=1e-3)
  assert (found.weight == 1).all() and found.coefficient == 0
  assert np.abs(squares[:, 0] - squares[:, -1]).max() > 0.01
  np.testing.assert_array_equal(
    kept["state"]["timesteps"]["counts"], np.bincount(k, minlength=40)
  )


def test_a_pseudo_video_is_that_of_the_vae(case):
  assert case.video.shape == (NUM, {3: 5, 1: 1}[case.shape[0]], *SHAPE)
  np.testing.assert_allclose(case.video[:, -1], IMAGES / 127.5 - 1, atol=1e-6)
  vae = case.vae.task
  make = jax.jit(lambda x, rows: vae.pseudo_video({}, {}, x, key=rows))
  np.testing.assert_allclose(case.video, make(IMAGES, ROWS), atol=1e-6)


# What is drawn.


def test_a_network_that_knows_the_latents_gives_reconstructions(
  case, monkeypatch
):
  """Latents beyond [-1, 1] are not clamped, pixels are; the image is last."""
  method = "ancestral" if case.shape[0] > 1 else "ddim"
  sampler = settings.ChainSampler(method, "7")
  task, known = changed(case.task, sampler=sampler), case.means
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
  expected = jax.jit(
    lambda x, rows: vae.task.reconstruct(vae.params, {}, x, key=rows)
  )(IMAGES, ROWS)
  np.testing.assert_allclose(video, expected, atol=1e-4)
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
  np.testing.assert_allclose(alone[0], together[1], atol=1e-4)
  assert np.abs(together[0] - together[1]).max() > 0.01
  assert np.abs(together).max() <= 1


# Runs.


@pytest.mark.slow("trains in two parts, and evaluates")
def test_a_run_keeps_the_vae_and_its_bits(videos, tmp_path):
  """In two parts; it needs the VAE's folder again only to be trained on."""
  vae = shutil.copytree(videos.vae.workdir, tmp_path / "vae")
  whole, parts, raw = tmp_path / "whole", tmp_path / "parts", config(vae)
  raw["train"]["eval_every"] = 6
  raw["evaluate"]["metrics"] = "FD"
  assert loop.train(raw, whole).step == 6
  # The learning rate is constant, so that the run may be made longer.
  short = raw | {"train": raw["train"] | {"steps": 3}}
  assert loop.train(short, parts).step == 3
  assert loop.train(raw, parts).step == 6
  run, again = runs.restore(whole), runs.restore(parts)
  for ours, theirs in ((again.params, run.params), (again.extra, run.extra)):
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)
  assert set(run.extra["frozen"]["autoencoder"]["params"]) == {"network"}
  jax.tree.map(
    np.testing.assert_array_equal,
    run.extra["frozen"]["autoencoder"]["params"]["network"],
    videos.vae.params["network"],
  )
  # The output of an untrained network is zero, so it loses the noise.
  assert np.abs(run.params["head"]["kernel"]).max() > 1e-4
  rows = metric_log.read_metrics(whole)
  first = next(r for r in rows if r["split"] == "train")
  assert abs(first["loss"] - 1) < 0.2 and first["step"] == 1
  assert {r["step"] for r in rows if r["split"] == "held_out"} == {6}
  assert run.config.raw["autoencoder"]["hash"] == latents.autoencoder_hash(
    videos.vae
  )
  vae.rename(tmp_path / "away")
  drawn = evaluate.draw(runs.restore(whole))
  assert drawn.images.shape == (8, *SHAPE) and drawn.videos.shape[1] == 5
  record = evaluate.evaluate(runs.restore(whole))
  assert record["network_evaluations"] == int(raw["sampler"]["respacing"]) == 4
  assert "reconstruction" not in record
  assert "FD-digitscls" in record["metrics"]["generated"]
  assert main.main(["--mode=train", f"--workdir={whole}"]) == 2


# What is refused.


@pytest.mark.parametrize(
  ("fields", "words"),
  [
    ({"binarize": "threshold"}, "data.binarize is 'threshold'"),
    (
      {"model": {"multipliers": (1, 1, 1, 1)}},
      "4 levels.*4x4",
    ),
    ({"sampler": {"respacing": "4/4"}}, "sampler.respacing '4/4'"),
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
    parsing.parse(raw)
  raw = config("anywhere") | {"augmentation": dict(name="blur", frames=5)}
  with pytest.raises(errors.UserError, match="no section of the config named"):
    parsing.parse(raw)
