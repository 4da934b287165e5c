"""Relations of configs of different arguments, and their first stages."""

import dataclasses
import itertools

import pytest

from configs import (
  hvae,
  latent_diffusion,
  token_prior,
  tokenizer,
  video_diffusion,
  video_vae,
)
from pseudovideo.config import comparing, parsing
from pseudovideo.models.video_vae import initialisation, tae
from tests.configs import config_files as files
from tests.shapes import SHAPES


def make(module, *, stage_frames=None, **options):
  return files.task_of(module, options, stage_frames)


@pytest.mark.parametrize("preset", [*hvae.PRESETS, "paper,network=small"])
def test_both_encoders_have_the_same_decoder(preset):
  for dataset in ("digits", "mnist", "cifar10"):
    heat, learned = (
      make(hvae, dataset=dataset, encoder=encoder, preset=preset)
      for encoder in hvae.ENCODERS
    )
    assert heat.model == learned.model
    assert heat.levels == learned.levels


@pytest.mark.parametrize("preset", video_diffusion.PRESETS)
def test_videos_and_images_have_the_same_training(preset):
  """The 1-frame baseline differs by its task and nothing else."""
  for dataset in ("digits", "mnist", "celeb_a"):
    image, video = (
      parsing.complete(
        video_diffusion.get_config(
          f"dataset={dataset},frames={frames},preset={preset}"
        )
      )
      for frames in (1, 4)
    )
    del video["model"]["residual_on_normed"]
    for section in set(image) - {"title", "task"}:
      assert image[section] == video[section], section
    assert set(video) - set(image) == {"augmentation"}


@pytest.mark.parametrize("preset", tokenizer.PRESETS)
def test_tokenizers_of_images_are_as_deep_as_those_of_videos(preset):
  image, video = (
    make(tokenizer, dataset="cifar10", frames=n, preset=preset)
    for n in ("1", "8")
  )
  layers = [
    (t.model.spatial_layers, t.model.temporal_layers) for t in (image, video)
  ]
  assert layers[0] == (sum(layers[1]), 0) and layers[1][1] > 0
  same = dict(spatial_layers=1, temporal_layers=0, frames=1)
  assert image.model.clone(**same) == video.model.clone(**same)
  fields = dict(model=image.model, augmentation=image.augmentation)
  assert dataclasses.replace(video, **fields) == image


def test_digits_of_28_pixels_have_no_discriminator():
  for frames, preset in zip(tokenizer.FRAMES, tokenizer.PRESETS, strict=True):
    task = make(tokenizer, dataset="mnist", frames=frames, preset=preset)
    assert not task.adversarial


@pytest.mark.parametrize("order", token_prior.ORDERS)
@pytest.mark.parametrize("preset", token_prior.PRESETS)
def test_a_model_of_tokens_takes_any_tokenizer(order, preset):
  """Grid, codes and vectors are those of the tokenizer, and in no config."""
  options = dict(dataset="cifar10", order=order, preset=preset)
  for frames in tokenizer.FRAMES:
    task = make(token_prior, **options, stage_frames=frames)
    assert task.network.grid == task.coder.grid_shape
    assert task.network.codes == task.coder.num_codes
  model = files.load(token_prior, options).model
  assert not {"grid", "codes", "code_width"} & set(model)


@pytest.mark.parametrize("preset", latent_diffusion.PRESETS)
def test_a_model_of_latents_takes_any_video_vae(preset):
  """Frames and latents are those of the VAE, and in no config."""
  evaluations = {"tiny": 4, "small": 50, "paper": 1000}[preset]
  # With latents of an odd side, of two and of four levels.
  for dataset in ("digits", "mnist", "celeb_a"):
    options = dict(dataset=dataset, preset=preset)
    for frames, expected in (("1", 1), ("5", 2), ("9", 3), ("17", 5)):
      task = make(latent_diffusion, **options, stage_frames=frames)
      assert getattr(task.denoiser, "frames", 1) == expected
      assert task.denoiser.image_shape == task.coder.latent_shape[1:]
      assert task.network_evaluations == evaluations
    assert "augmentation" not in files.load(latent_diffusion, options)


@pytest.mark.parametrize("network", video_vae.NETWORKS[:-1])
def test_an_image_vae_that_a_video_vae_is_inflated_from(network):
  """Two branches take it as it is, the others as the lab note says."""
  datasets = ("digits", "mnist", "cifar10", "celeb_a")
  for dataset, preset in itertools.product(datasets, video_vae.PRESETS):
    options = dict(dataset=dataset, preset=preset)
    target = make(video_vae, frames="9", network=network, **options)
    source = make(video_vae, frames="1", network="image", **options).model
    channels = target.model.latent_channels
    if network == "image":
      assert target.model == source, options
      continue
    if network in ("causal", "group_causal"):
      source = source.clone(latent_channels=channels)
    if network in ("causal", "group_causal", "key_motion"):
      source = source.clone(attention=("middle",), rates=())
    wanted = initialisation.image_vae(target.model)
    unread = dict(convolution="causal")
    assert wanted.clone(**unread) == source.clone(**unread), options
    assert channels == (4 if preset == "tiny" else 8), options
    assert target.group == 4


@pytest.mark.parametrize("dataset", ["digits", "cifar10"])
@pytest.mark.parametrize("preset", video_vae.PRESETS)
def test_a_tae_has_any_length_and_its_latents_are_learned(dataset, preset):
  paper = preset == "paper"
  by_eight = paper and dataset == "cifar10"
  channels = {"tiny": 4, "small": 8, "paper": 16}[preset]
  same = dict(dataset=dataset, preset=preset)
  source = make(video_vae, frames="1", network="image", **same).model
  fields = dict(latent_channels=channels, attention=("middle",), rates=())
  fields |= dict(base=128) if paper else {}
  for frames in (*video_vae.FRAMES, *video_vae.TAE_FRAMES):
    options = dict(frames=frames, network="tae", **same)
    target = make(video_vae, **options)
    num = -(-int(frames) // (8 if by_eight else 4))
    side = SHAPES[dataset][0] // (8 if by_eight else 4)
    assert target.latent_shape == (num, side, side, channels)
    wanted = tae.image_vae(target.model)
    unread = dict(convolution="causal")
    assert wanted.clone(**unread) == source.clone(**fields, **unread)
    config = files.load(latent_diffusion, same)
    coder = files.load(video_vae, options)
    config.autoencoder.config = comparing.to_json(coder)
    task = parsing.parse(config).make_task(SHAPES[dataset])
    assert getattr(task.denoiser, "frames", 1) == num


@pytest.mark.parametrize("network", video_vae.NETWORKS)
def test_a_video_vae_of_clips(network):
  name = "videos:some/where?size=64&interval=2"
  for frames, preset in itertools.product(video_vae.FRAMES, video_vae.PRESETS):
    options = dict(frames=frames, network=network, preset=preset)
    raw = files.load(video_vae, dict(dataset=name) | options)
    assert raw.data.name == f"{name}&frames={frames}"
    task = parsing.parse(raw).make_task((64, 64, 3))
    assert task.augmentation.frames == int(frames), options
    assert task.order == "forward", options
    assert task.image_share == 0.25 * (frames != "1"), options
    same = files.load(video_vae, dict(dataset="celeb_a") | options)
    assert raw.model == same.model, options
