"""Video VAEs of pseudo videos or clips: IV-VAE, its baselines, the image VAE.

  python -m pseudovideo.main --mode=train --workdir=runs/iv_vae_9 \\
      --config=configs/video_vae.py:dataset=digits,frames=9,preset=small

Arguments, each optional:
  dataset  digits (default) | mnist | cifar10 | celeb_a | folder:PATH
           videos:PATH, with the side of the frames behind it: real clips, as in
           'dataset=videos:PATH?size=32&interval=2', see data.video_folder
  frames   5 (default) | 9 | 17: recursively blurred pseudo videos, which are
           encoded from the clean image, frame 0, to the most blurred one; or
           clips, which are encoded from their first frame
           1: the images alone
           with network=tae also 4 | 8 | 18, the lengths of the pseudo videos'
           paper; augmentation.frames may then be any number
  network  iv_vae (default): key and motion branch, attention wherever the
           published code has it, parallel dilated convolutions
           image: every frame by itself; with frames=1 it is the image VAE that
           iv_vae and motion_motion can be inflated from, with half of their
           latent channels
           causal: one branch, causal convolutions
           group_causal: one branch, causal in groups of frames
           key_motion: iv_vae with the two attention layers of causal and
           without dilated convolutions
           motion_motion: iv_vae with 3-D convolutions in both branches
           tae: Movie Gen's temporal autoencoder, the task video_tae: an image
           VAE with layers over time behind its own, not causal
  preset   small (default): base 16, a quarter of the side, 8 latent channels;
           minutes on a GPU, and on two cores for digits of 5 frames
           tiny: a few steps, seconds
           paper: base 64, an eighth of the side (digits and mnist: a quarter);
           tae: base 128, 16 latent channels

Four frames become one latent frame, eight with network=tae,preset=paper (digits
and mnist: four).

To inflate from a trained image VAE, set task.start to its folder. The image VAE
is network=image with these fields:
  iv_vae, motion_motion  no others
  causal, group_causal   model.latent_channels=8,
                         model.attention="('middle',)" and model.rates="()"
  key_motion             model.attention="('middle',)" and model.rates="()"
  tae                    as causal; with preset=paper model.base=128 and
                         model.latent_channels=16

The paper gives no weights of its losses, no optimizer and no batch size; all of
them are our choice. It adds a discriminator in a last stage. Of the presets
only paper does so; in the others set task.adversarial=True and
task.adversarial_from. The perceptual loss is off: set task.perceptual=vgg16
where its published weights are on the machine, or task.perceptual=classifier.

Of Movie Gen's autoencoder our source gives the layers, 16 latent channels, and
one batch of images to three of videos (task.image_share=0.25). The widths are
taken from latent diffusion. With preset=paper, time is halved wherever sides
are. The rest is as for iv_vae.
"""

import ml_collections

from pseudovideo import errors
from pseudovideo.config import arguments
from pseudovideo.data import named
from pseudovideo.models.video_vae import geometry

DATASETS = (*arguments.DATASETS, "videos:PATH")
FRAMES = ("5", "9", "17", "1")
# Lengths that only a TAE has.
TAE_FRAMES = ("4", "8", "18")
NETWORKS = (
  "iv_vae",
  "image",
  "causal",
  "group_causal",
  "key_motion",
  "motion_motion",
  "tae",
)
PRESETS = ("small", "tiny", "paper")

# Rate at which the blurs grow, by the number of frames.
_BLUR_RATES = {4: 0.05, 5: 0.05, 8: 0.05, 9: 0.05, 17: 0.01, 18: 0.01}
# Number of held-out clips that are scored, all in memory.
_CLIPS = 500
_ATTENTION = ("down", "blocks", "middle")
_RATES = (1, 3, 6, 9, 12)


def get_config(arg: str = "") -> ml_collections.ConfigDict:
  """The config for `dataset=...,frames=...,network=...,preset=...`."""
  options = arguments.parse(
    arg,
    dataset=DATASETS,
    frames=(*FRAMES, *TAE_FRAMES),
    network=NETWORKS,
    preset=PRESETS,
  )
  dataset, network, preset = (
    options["dataset"],
    options["network"],
    options["preset"],
  )
  if options["frames"] in TAE_FRAMES and network != "tae":
    raise errors.UserError(
      f"frames={options['frames']} needs network=tae; with network={network} "
      f"frames must be one of {', '.join(FRAMES)}."
    )
  frames = int(options["frames"])
  of_clips = dataset.startswith("videos:")
  name = _clips(dataset, frames) if of_clips else dataset
  side = named.facts(name).image_shape[0]
  config = {"tiny": _tiny, "small": _small, "paper": _paper}[preset](name)
  if of_clips:
    _take_clips(config, frames)
  elif frames > 1:
    config.augmentation = dict(
      name="blur", frames=frames, rate=_BLUR_RATES[frames]
    )
  else:
    config.augmentation = dict(name="identity", frames=1)
  if frames == 1:
    config.task.image_share = 0.0
  config.model.image_channels = None  # As many as the data have.
  if network == "tae":
    _choose_tae(config, preset)
  else:
    _choose(config.model, network, side >> (len(config.model.multipliers) - 1))
  config.title = (
    f"video VAE {network} of {frames} frame{'s' * (frames > 1)} on {dataset} "
    f"({preset})"
  )
  return config


def _clips(dataset: str, frames: int) -> str:
  """The name of the data set, with the number of frames of its clips."""
  path, question, query = dataset.rpartition("?")
  if path and "frames=" in query:
    raise errors.UserError(
      "The argument frames says how many frames clips have; leave 'frames=' "
      f"out of the data set {dataset!r}."
    )
  return f"{dataset}{'&' if question else '?'}frames={frames}"


def _take_clips(config: ml_collections.ConfigDict, frames: int) -> None:
  """Learns from clips instead of pseudo videos."""
  config.augmentation = dict(name="identity", frames=frames)
  config.task.order = "forward"
  config.evaluate.num_samples = min(config.evaluate.num_samples, _CLIPS)


def _choose(
  model: ml_collections.ConfigDict, network: str, latent_side: int
) -> None:
  """Turns the IV-VAE of a config into the network of that name."""
  model.attention, model.rates = _ATTENTION, ()
  if network in ("causal", "group_causal", "key_motion"):
    model.attention = ("middle",)
  else:
    model.rates = geometry.rates_below(_RATES, latent_side)
  model.convolution = "causal" if network == "causal" else "group_causal"
  if network == "image":
    model.latent_channels //= 2
    model.temporal = (False,) * len(model.temporal)
  model.branches = {
    "iv_vae": "key_motion",
    "causal": "motion",
    "group_causal": "motion",
  }.get(network, network)


def _choose_tae(config: ml_collections.ConfigDict, preset: str) -> None:
  """Turns the IV-VAE of a config into a TAE."""
  config.task.name = "video_tae"
  if preset == "paper":
    model = config.model
    model.update(dict(base=128, latent_channels=16))
    model.temporal = (True,) * len(model.temporal)


def _small(dataset: str) -> ml_collections.ConfigDict:
  """The small preset: a narrow network."""
  config = ml_collections.ConfigDict(dict(title=""))
  config.data = dict(name=dataset, binarize="none")
  config.task = dict(
    name="video_vae",
    order="reversed",
    image_share=0.25,
    kl_weight=1e-6,
    perceptual="none",
    adversarial=False,
    adversarial_weight=0.1,
    adversarial_from=0,
    most_adaptive=10.0,
    start="random",
  )
  config.model = dict(
    base=16,
    latent_channels=8,
    multipliers=(1, 2, 4),
    blocks=2,
    temporal=(True, True),
    dtype="float32",
  )
  config.discriminator = dict(width=16, max_width=64, layers=2)
  config.optimizer = dict(
    learning_rate=1e-3,
    schedule="cosine",
    warmup_steps=50,
    b1=0.9,
    b2=0.99,
    clip_norm=1.0,
    ema_decay=0.99,
    ema_warmup=True,
  )
  config.discriminator_optimizer = dict(
    learning_rate=1e-3, schedule="cosine", warmup_steps=50, b1=0.9, b2=0.99
  )
  config.train = dict(
    steps=2000,
    batch_size=16,
    accumulate=1,
    seed=0,
    log_every=20,
    eval_every=0,
    save_every=500,
    keep=2,
    grid=64,
  )
  config.evaluate = dict(num_samples=2000, batch_size=50, seed=0)
  return config


def _tiny(dataset: str) -> ml_collections.ConfigDict:
  """A few steps of a small network: for tests."""
  config = _small(dataset)
  config.model.update(
    dict(base=4, latent_channels=4, multipliers=(1, 2, 2), blocks=1)
  )
  config.discriminator.update(dict(width=4, max_width=8))
  config.optimizer.warmup_steps = 2
  config.discriminator_optimizer.warmup_steps = 2
  config.train.update(
    dict(steps=6, batch_size=8, log_every=2, eval_every=3, save_every=3, grid=4)
  )
  config.evaluate.update(dict(num_samples=16, batch_size=8, efflite0="never"))
  return config


def _paper(dataset: str) -> ml_collections.ConfigDict:
  """The paper preset: the published network; its training is our choice."""
  config = _small(dataset)
  config.model.base = 64
  if named.facts(dataset).image_shape[0] >= 32:
    config.model.multipliers = (1, 2, 4, 4)
    config.model.temporal = (False, True, True)
  config.discriminator.update(dict(width=64, max_width=512, layers=3))
  config.task.update(dict(adversarial=True, adversarial_from=250_000))
  config.optimizer.update(
    dict(learning_rate=1e-4, warmup_steps=1000, ema_decay=0.999)
  )
  config.discriminator_optimizer.update(
    dict(learning_rate=1e-4, warmup_steps=1000)
  )
  config.train.update(
    dict(
      steps=300_000,
      batch_size=32,
      log_every=100,
      eval_every=5000,
      save_every=5000,
      keep_every=50_000,
    )
  )
  config.evaluate.update(dict(num_samples=10_000))
  return config
