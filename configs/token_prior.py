"""Models of a tokenizer's tokens (Sec. 3: generation in Table 2).

  python -m pseudovideo.main --mode=train --workdir=runs/video_gpt \\
      --config=configs/token_prior.py:dataset=digits,order=next \\
      --config.tokenizer.workdir=runs/tokenizer_8

The named run of configs/tokenizer.py fixes the number of frames, the number of
codes and the grid of tokens; none of these is set here.

Arguments, each optional:
  dataset  digits (default) | mnist | cifar10 | celeb_a | folder:PATH
           the images whose tokens are learned, as a rule the tokenizer's
  order    next (default): one token after another, ImageGPT and VideoGPT
           masked: all at once in a few passes, MaskGit and Phenaki
  preset   small (default): minutes on two cores or on a GPU
           tiny: a few steps, seconds
           paper: Tables 8 and 9

Passes and temperatures are in the section sampler and may change after
training. order=masked decodes as MaskGit does, with preset=paper as Phenaki
does (rule=phenaki, 18 passes). With models trained for minutes, Phenaki's rule
has drawn images of one colour in all runs that we have seen.

Paper, FID of samples with 1, 8 and 18 frames: next 91.65, 54.60 and 69.23 on
CIFAR-10; 32.98, 30.19 and 28.08 on CelebA. masked 89.78, 35.50 and 47.65 on
CIFAR-10; 27.34, 16.87 and 16.66 on CelebA.
"""

import dataclasses

import ml_collections

from pseudovideo.config import arguments
from pseudovideo.data import named
from pseudovideo.samplers import masked

DATASETS = arguments.DATASETS
ORDERS = ("next", "masked")
PRESETS = ("small", "tiny", "paper")


def get_config(arg: str = "") -> ml_collections.ConfigDict:
  """The config for `dataset=...,order=...,preset=...`."""
  options = arguments.parse(arg, dataset=DATASETS, order=ORDERS, preset=PRESETS)
  dataset, order, preset = options.values()
  config = ml_collections.ConfigDict(dict(title=""))
  config.data = dict(name=dataset, binarize="none")
  config.tokenizer = dict(workdir="", tokens="")
  {"next": _next, "masked": _masked}[order](config)
  _small_training(config)
  if preset == "tiny":
    _tiny(config)
  if preset == "paper":
    _paper(config, order, dataset)
  config.title = f"tokens of {dataset} ({order}, {preset})"
  return config


def _next(config: ml_collections.ConfigDict) -> None:
  """Sections of the task, narrow."""
  config.task = dict(name="next_token")
  config.model = dict(
    width=96,
    layers=4,
    heads=4,
    dropout=0.1,
    attention_dropout=0.1,
    embedding="codes",
    remat=False,
    dtype="float32",
  )
  config.sampler = dict(temperature=1.0, top_k=0, top_p=1.0)


def _masked(config: ml_collections.ConfigDict) -> None:
  """Sections of the task, narrow."""
  config.task = dict(
    name="masked_token", smoothing=0.0, critic="none", critic_weight=1.0
  )
  config.model = dict(
    width=96,
    layers=4,
    heads=4,
    head_width=24,
    offset_bias=True,
    embedding_gradient=0.1,
    remat=False,
    dtype="float32",
  )
  config.masking = dict(schedule="phenaki", steps=18)
  config.sampler = dataclasses.asdict(masked.PRESETS["maskgit"])


def _small_training(config: ml_collections.ConfigDict) -> None:
  """The training of the small preset: minutes on two cores."""
  config.optimizer = dict(
    learning_rate=1e-3,
    schedule="cosine",
    warmup_steps=50,
    b1=0.9,
    b2=0.99,
    clip_norm=1.0,
    ema_decay=0.0,
  )
  config.train = dict(
    steps=1500,
    batch_size=32,
    accumulate=1,
    seed=0,
    log_every=25,
    eval_every=0,
    save_every=500,
    keep=2,
    grid=64,
  )
  config.evaluate = dict(num_samples=2000, batch_size=100, seed=0)


def _tiny(config: ml_collections.ConfigDict) -> None:
  """A few steps of a small network: for tests."""
  config.model.update(dict(width=12, layers=2, heads=2))
  if "head_width" in config.model:
    config.model.head_width = 6
    config.masking.steps = config.sampler.steps = 4
  config.optimizer.warmup_steps = 2
  config.train.update(
    dict(
      steps=6, batch_size=16, log_every=2, eval_every=6, save_every=3, grid=16
    )
  )
  config.evaluate.update(dict(num_samples=64, batch_size=32, efflite0="never"))


def _paper(config: ml_collections.ConfigDict, order: str, dataset: str) -> None:
  """The paper preset: Tables 8 and 9, the rest as in the published code."""
  if order == "next":
    config.model.update(
      dict(width=144, layers=8, dropout=0.2, attention_dropout=0.3)
    )
    config.optimizer.b2 = 0.999
  else:
    config.model.update(dict(width=512, layers=6, heads=8, head_width=64))
    config.sampler.update(dataclasses.asdict(masked.PRESETS["phenaki"]))
  # 2,304 tokens of an 18-frame video of CelebA attend to each other.
  config.model.remat = named.facts(dataset).is_large
  config.optimizer.update(
    dict(learning_rate=1e-4, warmup_steps=0, clip_norm=0.0)
  )
  config.train.update(
    dict(
      steps=100_000 if order == "next" else 200_000,
      batch_size=64,
      log_every=100,
      eval_every=5000,
      save_every=5000,
      keep=3,
      grid=64,
    )
  )
  config.evaluate.update(dict(num_samples=50_000, batch_size=256))
