"""VQ-VAE and C-ViViT tokenizers (Sec. 3: Tables 2 and 6, Figures 3 to 5).

  python -m pseudovideo.main --mode=train --workdir=runs/tokenizer_8 \\
      --config=configs/tokenizer.py:dataset=digits,frames=8,preset=small

Arguments, each optional:
  dataset  digits (default) | mnist | cifar10 | celeb_a | folder:PATH
  frames   1 (default): the image model, VQ-VAE
           8 | 18: C-ViViT on recursively blurred pseudo videos
  recipe   recommended (default): slow codebook averages; unused codes are
           restarted; for every number of frames a discriminator, with a small
           weight and from half of the training on (not on mnist: it does not
           take 28 pixels)
           as_published: as the code that the paper builds on: few codes are
           used; the discriminator moves the network as much as the squared
           error does, from the first update on; for images there is none,
           because its weight is always 0
  preset   small (default): minutes on two cores or on a GPU
           tiny: a few steps, seconds
           paper: Table 7

The perceptual loss is off: set task.perceptual=vgg16 where its published
weights are on the machine, or task.perceptual=classifier.

Paper, FID of reconstructions with 1, 8 and 18 frames: 84.25, 13.81 and 11.26 on
CIFAR-10; 24.62, 5.72 and 2.27 on CelebA.
"""

import ml_collections

from pseudovideo.config import arguments
from pseudovideo.data import named

DATASETS = arguments.DATASETS
FRAMES = ("1", "8", "18")
RECIPES = ("recommended", "as_published")
PRESETS = ("small", "tiny", "paper")

# Rate at which the blurs grow, by the number of frames.
_BLUR_RATES = {8: 0.05, 18: 0.01}


def get_config(arg: str = "") -> ml_collections.ConfigDict:
  """The config for `dataset=...,frames=...,recipe=...,preset=...`."""
  options = arguments.parse(
    arg, dataset=DATASETS, frames=FRAMES, recipe=RECIPES, preset=PRESETS
  )
  dataset, recipe, preset = (
    options["dataset"],
    options["recipe"],
    options["preset"],
  )
  frames = int(options["frames"])
  config = {"tiny": _tiny, "small": _small, "paper": _paper}[preset](dataset)
  if frames > 1:
    config.augmentation = dict(
      name="blur", frames=frames, rate=_BLUR_RATES[frames]
    )
  else:
    # As many layers, all of them over space.
    config.model.spatial_layers += config.model.temporal_layers
    config.model.temporal_layers = 0
  config.model.frames = frames
  config.model.channels = None  # As many as the data have.
  if recipe == "as_published":
    config.quantizer.update(dict(decay=0.8, restart_below=0.0))
    config.task.most_adaptive = 1e4
    config.task.adversarial_weight = 1.0
    config.task.adversarial = config.task.adversarial and frames > 1
  else:
    config.task.adversarial_from = config.train.steps // 2
  config.title = (
    f"tokenizer of {frames} frame{'s' * (frames > 1)} on {dataset} "
    f"({recipe}, {preset})"
  )
  return config


def _small(dataset: str) -> ml_collections.ConfigDict:
  """The small preset: a narrow network; minutes on two cores."""
  config = ml_collections.ConfigDict(dict(title=""))
  config.data = dict(name=dataset, binarize="none")
  config.task = dict(
    name="video_tokenizer",
    adversarial=_can_be_judged(dataset),
    adversarial_weight=0.1,
    adversarial_from=0,
    most_adaptive=10.0,
    judged_frame="random",
    perceptual="none",
  )
  config.augmentation = dict(name="identity", frames=1)
  config.model = dict(
    patch=(2, 4, 4),
    width=64,
    heads=4,
    head_width=16,
    spatial_layers=2,
    temporal_layers=2,
    grid="tubelets",
    normalised_patches=True,
    scrambled_peg=False,
    dtype="float32",
  )
  config.quantizer = dict(
    name="cosine", codes=256, width=64, decay=0.99, restart_below=2.0
  )
  config.discriminator = dict(
    width=8, max_width=32, attention=16, heads=2, head_width=16
  )
  config.optimizer = dict(
    learning_rate=1e-3,
    schedule="cosine",
    warmup_steps=50,
    b1=0.9,
    b2=0.99,
    clip_norm=0.5,
    ema_decay=0.0,
  )
  config.discriminator_optimizer = dict(
    learning_rate=1e-3, schedule="cosine", warmup_steps=50, b1=0.9, b2=0.99
  )
  config.train = dict(
    steps=800,
    batch_size=16,
    accumulate=1,
    seed=0,
    log_every=20,
    eval_every=0,
    save_every=400,
    keep=2,
    grid=64,
  )
  config.evaluate = dict(num_samples=2000, batch_size=100, seed=0)
  if named.facts(dataset).is_tiny:
    _narrow(config)
  return config


def _can_be_judged(dataset: str) -> bool:
  """True if the discriminator can halve images down to 4x4 pixels."""
  side = named.facts(dataset).image_shape[0]
  return side & (side - 1) == 0


def _narrow(config: ml_collections.ConfigDict) -> None:
  """Adapts the small preset to 8x8 pixels, in patches of 2x2."""
  config.model.patch = (2, 2, 2)
  config.quantizer.codes = 64
  config.discriminator.attention = 8
  config.train.batch_size = 32


def _tiny(dataset: str) -> ml_collections.ConfigDict:
  """A few steps of a small network: for tests."""
  config = _small(dataset)
  config.model.update(
    dict(width=16, heads=2, head_width=8, spatial_layers=1, temporal_layers=1)
  )
  config.quantizer.update(dict(codes=16, width=16))
  config.discriminator.update(dict(width=8, max_width=8, heads=1, head_width=8))
  config.optimizer.warmup_steps = 2
  config.discriminator_optimizer.warmup_steps = 2
  config.train.update(
    dict(steps=6, batch_size=8, log_every=2, eval_every=3, save_every=3, grid=4)
  )
  config.evaluate.update(dict(num_samples=16, batch_size=8, efflite0="never"))
  return config


def _paper(dataset: str) -> ml_collections.ConfigDict:
  """The paper preset: Table 7, the rest as in the published code."""
  config = _small(dataset)
  config.model.update(
    dict(width=512, heads=8, head_width=64, spatial_layers=4, temporal_layers=4)
  )
  config.quantizer.update(dict(codes=1024, width=512))
  config.discriminator.update(
    dict(width=64, max_width=512, heads=8, head_width=64)
  )
  config.optimizer.update(dict(learning_rate=1e-4, warmup_steps=0))
  config.discriminator_optimizer.update(
    dict(learning_rate=1e-4, warmup_steps=0)
  )
  config.train.update(
    dict(
      steps=100_000,
      batch_size=64,
      log_every=100,
      eval_every=5000,
      save_every=5000,
      keep_every=25_000,
    )
  )
  config.evaluate.update(dict(num_samples=10_000, batch_size=100))
  return config
