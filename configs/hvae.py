"""HVAE with a heat-equation or a learnable encoder (Table 1, Figure 2).

  python -m pseudovideo.main --mode=train --workdir=runs/heat \\
      --config=configs/hvae.py:dataset=digits,encoder=heat,preset=small

Arguments, each optional:
  dataset  digits (default) | mnist | cifar10 | celeb_a | folder:PATH
  encoder  heat (default): fixed by the heat equation, Eq. 11
           learned: bottom-up, Eq. 4
  network  default: the preset's; small: the published code's smaller network,
           3,704,129 parameters instead of 42,082,049 (preset=paper)
  preset   small (default): minutes on two cores or on a GPU
           tiny: a few steps, seconds
           paper: network and schedule of Rissanen et al. (2022), which the
           pseudo-video paper takes over

MNIST is binarized with new draws at every step, and p(x_0 | x_1) is Bernoulli.

Paper, binarized MNIST: Inception Score 9.32 (heat) against 7.27 (learned), with
a classifier that it does not name. Ours: docs/systems/hvae.md.
"""

import ml_collections

from pseudovideo import errors
from pseudovideo.config import arguments
from pseudovideo.data import named

DATASETS = arguments.DATASETS
ENCODERS = ("heat", "learned")
NETWORKS = ("default", "small")
PRESETS = ("small", "tiny", "paper")


def get_config(arg: str = "") -> ml_collections.ConfigDict:
  """The config for `dataset=...,encoder=...,preset=...`."""
  options = arguments.parse(
    arg,
    dataset=DATASETS,
    encoder=ENCODERS,
    network=NETWORKS,
    preset=PRESETS,
  )
  dataset, encoder, preset = (
    options["dataset"],
    options["encoder"],
    options["preset"],
  )
  if options["network"] == "small" and preset != "paper":
    raise errors.UserError(
      f"network=small belongs to preset=paper; preset={preset} has a network "
      "of its own, so leave it out."
    )
  make = {"tiny": _tiny, "small": _small, "paper": _paper}[preset]
  config = make(dataset)
  config.title = f"{encoder} HVAE on {dataset} ({preset})"
  config.data.name = dataset
  if dataset == "mnist":
    config.data.binarize = "bernoulli"
    config.task.reconstruction_likelihood = "bernoulli"
  if options["network"] == "small":
    config.model.update(dict(channels=64, multipliers=(1, 1, 1)))
    config.model.attention = (2,)
    config.title = f"{encoder} HVAE on {dataset} ({preset}, small network)"
  if encoder == "learned":
    _learn_encoder(config, preset)
  return config


def _small(dataset: str) -> ml_collections.ConfigDict:
  """The small preset: digits take 2.5 minutes on two cores; others a GPU."""
  config = _sections()
  config.data = dict(name=dataset, binarize="none")
  config.task = dict(
    name="heat_hvae",
    levels=18,
    sigma_min=0.3,
    sigma_max=6.0,
    sigma_h=0.1,
    delta_ratio=1.25,
  )
  config.model = dict(
    channels=16,
    multipliers=(1, 2),
    blocks=2,
    attention=(1,),
    heads=1,
    groups=8,
    dropout=0.0,
    conditioning="additive",
    dtype="float32",
  )
  config.optimizer = dict(
    learning_rate=2e-3,
    schedule="cosine",
    warmup_steps=100,
    clip_norm=1.0,
    ema_decay=0.995,
    ema_warmup=True,
  )
  config.train = dict(
    steps=1600,
    batch_size=64,
    accumulate=1,
    seed=0,
    log_every=50,
    eval_every=400,
    save_every=400,
    keep=2,
    grid=64,
  )
  config.evaluate = dict(num_samples=1000, batch_size=250, seed=0)
  if not named.facts(dataset).is_tiny:
    _widen(config, dataset)
  return config


def _widen(config: ml_collections.ConfigDict, dataset: str) -> None:
  """Adapts the small preset to images of 28 pixels and more.

  The learning rate of 2e-3 that suits digits makes CIFAR-10 diverge at batch
  16 and sit on a plateau for 5,000 steps at batch 128.
  """
  grey = named.facts(dataset).is_grey
  config.optimizer.learning_rate = 1e-3 if grey else 4e-4
  config.task.sigma_min = 0.5
  config.task.sigma_max = 20.0
  config.model.multipliers = (1, 2, 2)
  config.model.attention = (2,)
  if grey:
    config.model.blocks = 1
    config.train.batch_size = 32
    config.train.steps = 1500
    config.train.eval_every = 750
    config.train.save_every = 250
  else:
    config.model.channels = 64
    config.train.batch_size = 128
    config.train.steps = 20_000
    config.train.eval_every = 5000
    config.train.save_every = 5000


def _tiny(dataset: str) -> ml_collections.ConfigDict:
  """A few steps of a small network: for tests."""
  config = _small(dataset)
  config.task.levels = 4
  config.model.channels = 8
  config.model.multipliers = (1, 1)
  config.model.attention = (1,)
  config.model.blocks = 1
  config.optimizer.warmup_steps = 2
  config.train.update(
    dict(
      steps=8,
      batch_size=16,
      log_every=2,
      eval_every=4,
      save_every=4,
      grid=4,
    )
  )
  config.evaluate.update(dict(num_samples=32, batch_size=16, efflite0="never"))
  return config


def _paper(dataset: str) -> ml_collections.ConfigDict:
  """The paper preset: Rissanen et al., T = 18 as in the pseudo-video paper.

  The pseudo-video paper gives neither network nor training length ("similar
  architecture"). Both are taken from the reference implementation, with 18
  instead of 100 levels.
  """
  config, images = _small(dataset), named.facts(dataset)
  config.task.update(
    dict(
      sigma_min=0.5,
      sigma_max=20.0 if images.is_grey else 24.0,
      sigma_h=0.01,
      delta_ratio=1.25,
    )
  )
  config.model.update(
    dict(
      channels=128,
      multipliers=(1, 2, 2) if images.is_grey else (1, 2, 2, 2),
      blocks=4,
      attention=(2,) if images.is_grey else (2, 3),
      groups=32,
      dropout=0.1,
    )
  )
  config.optimizer.update(
    dict(
      learning_rate=2e-4,
      schedule="constant",
      warmup_steps=5000,
      ema_decay=0.999,
    )
  )
  config.train.update(
    dict(
      steps=1_300_000,
      batch_size=128,
      log_every=100,
      eval_every=10_000,
      save_every=10_000,
    )
  )
  config.evaluate.update(dict(num_samples=50_000, batch_size=500))
  if images.is_tiny:
    config.model.update(dict(multipliers=(1, 2), attention=(1,)))
  return config


def _learn_encoder(config: ml_collections.ConfigDict, preset: str) -> None:
  """Exchanges the fixed encoder for a learnable one, same decoder."""
  steps = {"small": 650}.get(preset, config.train.steps)
  images = named.facts(config.data.name)
  if images.is_tiny:
    config.train.steps = steps
  config.task = dict(
    name="learned_hvae",
    levels=config.task.levels,
    reconstruction_likelihood=config.task.get(
      "reconstruction_likelihood", "gaussian"
    ),
    # After 300 updates on binarized MNIST the bound is 149 nats with 0.3, and
    # 227 with 0.1; twice the learning rate changes nothing.
    initial_sigma=0.3 if images.is_grey else 0.1,
    warmup_steps=config.train.steps // 10,
    decoder_levels="one",
    scan="auto",
  )
  config.encoder = dict(
    channels=8 if preset == "tiny" else 16,
    blocks=1,
    groups=8,
    initial_sigma=0.1,
    min_log_sigma=-7.0,
    max_log_sigma=0.7,
    dtype="float32",
  )


def _sections() -> ml_collections.ConfigDict:
  return ml_collections.ConfigDict(dict(title=""))
