"""The temporal autoencoder as a task: its loss, lengths, and what it is for."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import latent_diffusion
from configs import video_vae as configs
from pseudovideo import augmentations, errors, keys, optimizers, pixels, runs
from pseudovideo.config import parsing
from pseudovideo.evaluation import evaluate
from pseudovideo.first_stages import given, look_up
from pseudovideo.models.video_vae import tae
from pseudovideo.runs import checkpoints
from pseudovideo.tasks import first_stage, video_tae
from pseudovideo.training import loop
from tests.models.video_vae import nets, tae_reference
from tests.tasks import small_tokenizers
from tests.tasks import small_vaes as small

# Of 8 examples a quarter are single images.
NUM = 8
ALONE, CLIPS = [3, 7], [0, 1, 2, 4, 5, 6]
NET = tae.TAE(
  base=4, latent_channels=3, image_channels=1, multipliers=(1, 2), blocks=1,
  temporal=(True,),
)  # fmt: skip


def make(frames, **fields):
  """The task of so many frames, two of which are a latent frame."""
  given = {f.name: getattr(small.CLIPS, f.name) for f in _fields()}
  kind, more = ("blur", dict(rate=0.5)) if frames > 1 else ("identity", {})
  given["augmentation"] = augmentations.make(kind, frames=frames, **more)
  given["model"] = NET
  return video_tae.VideoTAE(**(given | fields))


def _fields():
  return dataclasses.fields(small.CLIPS)


TASK = make(3)


@functools.cache
def fresh():
  return small.fresh(TASK)


def inputs():
  """Images and a key for each."""
  rows = keys.example_keys(jax.random.key(1), NUM)
  return small_tokenizers.images(NUM), rows


@functools.cache
def terms():
  """Of the loss of the batch, in training."""
  params, extra = fresh()
  images, rows = inputs()

  def loss(params):
    batch = {"image": images}
    return TASK.loss(params, extra, batch, key=rows, step=9, train=True)[0]

  return jax.device_get(jax.jit(loss)(params))


def videos(order=slice(None, None, -1)):
  """float64 pseudo videos of the clips, and the single images."""
  images, rows = inputs()
  x = pixels.to_float(jnp.asarray(images), (-1, 1))
  video = TASK.augmentation(x, key=rows)[:, order]
  alone = x[np.array(ALONE)][:, None]
  return np.float64(video[np.array(CLIPS)]), np.float64(alone)


@functools.cache
def in_numpy():
  """Of clips and single images: video, means, log-variances, what is made."""
  params = nets.float64(fresh()[0]["network"])
  rows = inputs()[1]
  found = []
  for video, chosen in zip(videos(), (CLIPS, ALONE), strict=True):
    pairs = [tae_reference.encode(clip, params, NET) for clip in video]
    means, logs = (np.stack(part) for part in zip(*pairs, strict=True))
    assert logs.min() > -30 and logs.max() < 20
    noise = keys.named(rows[np.array(chosen)], "latents")
    drawn = means + np.exp(logs / 2) * np.float64(
      keys.normal(noise, means.shape)
    )
    # Two frames of each latent frame, of which some are behind the end.
    made = [tae_reference.decode(z, params, NET) for z in drawn]
    assert len(made[0]) == video.shape[1] + 1
    cut = np.stack(made)[:, : video.shape[1]]
    found.append(dict(video=video, means=means, logs=logs, made=cut))
  return found


def _mean(x):
  return x.reshape(len(x), -1).mean(1)


def test_terms_are_those_of_clips_and_of_images():
  clips, images = in_numpy()
  errors_of = [_mean(np.abs(p["made"] - p["video"])) for p in (clips, images)]
  nats = [
    0.5 * (p["means"] ** 2 + np.exp(p["logs"]) - 1 - p["logs"])
    for p in (clips, images)
  ]
  pixels_of = [p["video"][0].size for p in (clips, images)]
  kl = [
    n.reshape(len(n), -1).sum(1) / size
    for n, size in zip(nats, pixels_of, strict=True)
  ]
  clean = np.abs(clips["made"] - clips["video"])[:, 0]
  for name, expected in {
    "absolute_error": np.concatenate(errors_of),
    "image_error": errors_of[1],
    "last_frame_error": _mean(clean),
    "kl": np.concatenate(kl),
  }.items():
    assert expected.min() > 1e-2
    np.testing.assert_allclose(terms()[name].value, expected, rtol=1e-4)


def test_the_adaptive_weight_is_of_the_layer_that_makes_pixels():
  """The convolution over time behind the decoder's head."""
  params, _ = fresh()
  drawn = [jnp.float32(p) for p in _drawn()]

  def made(last):
    decoder = params["network"]["decoder"]
    taps = decoder["head_time"]["taps"] | last
    decoder = decoder | {"head_time": {"taps": taps}}
    network = params["network"] | {"decoder": decoder}
    video = NET.apply({"params": network}, drawn[0], 3, method="decode")
    return video[:, ::-1]

  def numerator(last):
    return jnp.mean(jnp.abs(made(last) - drawn[1][:, ::-1]))

  def generator(last):
    tree = {"params": params[optimizers.DISCRIMINATOR]}
    return -jnp.mean(TASK.discriminator.apply(tree, made(last)))

  own = params["network"]["decoder"]["head_time"]["taps"]
  lengths = [
    np.linalg.norm(jax.jit(jax.grad(f))({"kernel": own["kernel"]})["kernel"])
    for f in (numerator, generator)
  ]
  weight = lengths[0] / lengths[1]
  assert 1e-3 < weight < 1e4
  np.testing.assert_allclose(terms()["adaptive_weight"].value, weight, 1e-3)


def _drawn():
  clips, _ = in_numpy()
  noise = keys.named(inputs()[1][np.array(CLIPS)], "latents")
  noise = np.float64(keys.normal(noise, clips["means"].shape))
  return clips["means"] + np.exp(clips["logs"] / 2) * noise, clips["video"]


@pytest.mark.parametrize("frames", [1, 5])
def test_clips_of_any_length_come_back(frames):
  task = make(frames, image_share=0.25 * (frames > 1))
  task.check()
  params, extra = fresh()
  images, rows = inputs()
  video, made = jax.jit(
    lambda images: (
      task.pseudo_video(params, extra, images, key=rows[:1]),
      task.reconstruct(params, extra, images, key=rows[:1]),
    )
  )(images[:1])
  assert made.shape == (1, frames, 8, 8, 1)
  assert task.latent_shape == (-(-frames // 2), 4, 4, 3)
  network = nets.float64(params["network"])
  clip = np.float64(video[0, ::-1])
  means, _ = tae_reference.encode(clip, network, NET)
  assert means.shape == task.latent_shape
  expected = tae_reference.decode(means, network, NET)[:frames]
  np.testing.assert_allclose(made[0, ::-1], expected.clip(-1, 1), atol=1e-5)


def test_an_image_is_a_clip_of_itself():
  """A clip of equal frames has its latents, over and over."""
  params, _ = fresh()
  image = np.float32(videos()[1])
  still = np.repeat(image, 3, axis=1)

  @jax.jit
  def through(video):
    means, logs = TASK.posterior(params, video)
    return means, logs, TASK.decode(params, means, video.shape[1])

  for alone, repeated in zip(through(image), through(still), strict=True):
    num = repeated.shape[1]
    np.testing.assert_allclose(repeated, np.repeat(alone, num, 1), atol=1e-5)


def test_latents_of_another_number_of_frames_are_refused():
  params, _ = fresh()
  with pytest.raises(ValueError, match="2 latents stand for 4 frames or up to"):
    TASK.decode(params, jnp.zeros((1, 2, 4, 4, 3)), 5)


# Runs.


@pytest.fixture(scope="module")
def run(tmp_path_factory):
  """Two updates from the config: four frames, two in a latent frame."""
  raw = parsing.complete(configs.get_config("frames=4,network=tae,preset=tiny"))
  raw["model"] |= dict(multipliers=(1, 2), temporal=(True,))
  raw["train"] |= dict(steps=2, save_every=1, eval_every=0)
  raw["optimizer"]["warmup_steps"] = 0
  raw["evaluate"]["metrics"] = "FD"
  workdir = tmp_path_factory.mktemp("tae")
  assert loop.train(raw, workdir).step == 2
  return runs.restore(workdir)


@pytest.mark.slow("trains")
def test_training_moves_it(run):
  """The layers over time, too."""
  before, after = (
    checkpoints.load(run.workdir, step=step, parts=("params",))[1]["params"]
    for step in (1, 2)
  )
  moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), after, before)
  for name in ("stem", "stem_time", "middle_attention_time", "head_time"):
    layers = jax.tree.leaves(moved["network"]["encoder"][name])
    assert max(layers) > 1e-5, name


@pytest.mark.slow("trains on the latents and evaluates")
def test_a_run_is_evaluated_and_its_latents_can_be_learned(run):
  assert isinstance(run.task, video_tae.VideoTAE)
  record = evaluate.evaluate(run, num_samples=NUM)
  found = record["reconstruction"]["videos"]
  assert len(found["psnr_by_frame"]) == 4
  assert "ssim_by_position" not in found

  raw = latent_diffusion.get_config("preset=tiny")
  raw.autoencoder.workdir = str(run.workdir)
  raw = look_up.look_up(parsing.parse(raw)).raw
  task = parsing.parse(raw).make_task((8, 8, 1))
  assert task.coder == run.task and task.denoiser.frames == 2
  kept = given.weights(first_stage.AUTOENCODER, task.autoencoder, task.coder)
  one = {"scale": jnp.float32(1), "shift": jnp.float32(0)}
  extra = {"frozen": {"autoencoder": kept, "scaling": one}}
  task = dataclasses.replace(task, latents="means")

  @jax.jit
  def both(images, rows):
    latents = task.to_latents(extra, images, key=rows)
    expected = run.task.reconstruct(run.params, run.extra, images, key=rows)
    return latents, task.to_video(extra, latents), expected

  latents, video, expected = both(*inputs())
  assert latents.shape == (NUM, 2, 4, 4, 4)
  np.testing.assert_allclose(video, expected, atol=1e-4)


def test_it_begins_as_an_image_vae(tmp_path):
  """Both frames of a latent frame are the first one, given back."""
  workdir = small.save_run(tmp_path, frames=1)
  image = runs.restore(workdir)
  net = NET.clone(latent_channels=2)
  task = make(4, model=net, start=str(workdir), adversarial=False)
  params, _ = given.init(task, jax.random.key(4), None)
  images, rows = inputs()
  made = jax.jit(task.reconstruct)(params, {}, images[:2], key=rows[:2])

  @jax.jit
  def given_back(images):
    video = task.pseudo_video({}, {}, images, key=rows[:2])
    frames = video.reshape(8, 1, 8, 8, 1)
    means, _ = image.task.posterior(image.params, frames)
    made = image.task.decode(image.params, means, 1)
    return jnp.clip(made, -1, 1).reshape(video.shape)

  expected = given_back(images[:2])
  # Encoded are the frames 3, 2; 1, 0.
  np.testing.assert_allclose(made, expected[:, [1, 1, 3, 3]], atol=1e-5)
  with pytest.raises(errors.UserError, match="train one with the fields of"):
    given.init(make(4, start=str(workdir)), jax.random.key(4), None)
