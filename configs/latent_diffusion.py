"""Diffusion in the latents of a video VAE, of pseudo videos or of images.

  python -m pseudovideo.main --mode=train --workdir=runs/latents_5 \\
      --config=configs/latent_diffusion.py:dataset=digits,preset=small \\
      --config.autoencoder.workdir=runs/iv_vae_5

The named run of configs/video_vae.py fixes the number of frames, how they are
made, the order in which they are encoded and the size of the latents; none of
these is set here. A run with frames=1 gives latent diffusion of images, the
baseline.

Arguments, each optional:
  dataset  digits (default) | mnist | cifar10 | celeb_a | folder:PATH
           the images to train on, as a rule the VAE's
  preset   small (default): digits in minutes on two cores; larger images need
           a GPU
           tiny: a few steps, seconds
           paper: base width, steps and training of configs/video_diffusion.py

The network has two levels, but one where the latents have an odd side, as for
mnist. Neither paper trains this: levels, widths and training are our choice.
With task.latents=means the network learns the VAE's means instead of samples.
"""

import ml_collections

from pseudovideo.config import arguments
from pseudovideo.data import named

DATASETS = arguments.DATASETS
PRESETS = ("small", "tiny", "paper")


def get_config(arg: str = "") -> ml_collections.ConfigDict:
  """The config for `dataset=...,preset=...`."""
  options = arguments.parse(arg, dataset=DATASETS, preset=PRESETS)
  dataset, preset = options["dataset"], options["preset"]
  config = _small(dataset)
  if preset == "tiny":
    _tiny(config)
  if preset == "paper":
    _paper(config)
  config.title = f"latent diffusion on {dataset} ({preset})"
  return config


def _small(dataset: str) -> ml_collections.ConfigDict:
  """The small preset: digits in minutes on two cores, others on a GPU."""
  config = ml_collections.ConfigDict(dict(title=""))
  config.data = dict(name=dataset, binarize="none")
  config.task = dict(name="latent_diffusion", latents="sampled")
  config.autoencoder = dict(workdir="")
  # Latents of 2x2 and of 7x7 places.
  one = named.facts(dataset).image_shape[0] < 32
  config.model = dict(
    channels=32 if one else 64,
    multipliers=(1,) if one else (1, 2),
    blocks=2,
    attention=(0,) if one else (0, 1),
    heads=4,
    groups=8,
    dropout=0.0,
    conditioning="scale_shift",
    residual_on_normed=True,
    dtype="float32",
  )
  config.process = dict(
    schedule="linear", steps=1000, variance="fixed_large", loss="simple"
  )
  config.sampler = dict(method="ancestral", respacing="50")
  config.optimizer = dict(
    learning_rate=1e-3 if one else 2e-4,
    schedule="constant",
    warmup_steps=100 if one else 500,
    clip_norm=1.0,
    ema_decay=0.998 if one else 0.999,
    ema_warmup=True,
  )
  config.train = dict(
    steps=3000 if one else 20_000,
    batch_size=64,
    accumulate=1,
    seed=0,
    log_every=100,
    eval_every=0,
    save_every=1000 if one else 5000,
    keep=2,
    grid=64,
  )
  config.evaluate = dict(num_samples=2000, batch_size=100, seed=0)
  return config


def _tiny(config: ml_collections.ConfigDict) -> None:
  """A few steps of a small network: for tests."""
  config.model.update(dict(channels=8, blocks=1, heads=2))
  config.process.steps = 40
  config.sampler.respacing = "4"
  config.optimizer.warmup_steps = 2
  config.train.update(
    dict(steps=6, batch_size=8, log_every=2, eval_every=3, save_every=3, grid=4)
  )
  config.evaluate.update(dict(num_samples=16, batch_size=8, efflite0="never"))


def _paper(config: ml_collections.ConfigDict) -> None:
  """The published training of `configs/video_diffusion.py`, for latents."""
  config.model.update(dict(channels=128, groups=32))
  config.sampler.respacing = ""
  config.optimizer.update(
    dict(
      learning_rate=1e-4,
      warmup_steps=0,
      clip_norm=0.0,
      ema_decay=0.9999,
      ema_warmup=False,
    )
  )
  config.train.update(
    dict(
      steps=500_000,
      batch_size=32,
      eval_every=10_000,
      save_every=10_000,
      keep_every=100_000,
      grid=16,
    )
  )
  config.evaluate.update(dict(num_samples=10_000, batch_size=100))
