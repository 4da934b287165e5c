"""The config files, their arguments, and how many parameters their tasks have.

Networks are traced for their shapes; nothing is allocated, however large.
"""

import dataclasses
import functools
import itertools
import types
from unittest import mock

import jax
import numpy as np

from configs import (
  hvae,
  latent_diffusion,
  token_prior,
  tokenizer,
  video_diffusion,
  video_vae,
)
from pseudovideo import augmentations, shapes
from pseudovideo.config import comparing, parsing
from pseudovideo.samplers import hvae_start
from pseudovideo.tasks import base
from pseudovideo.tasks import video_diffusion as video_diffusion_task
from tests.shapes import SHAPES

# Config file -> its arguments. A new file must be named here.
ARGUMENTS = {
  hvae: {
    "dataset": hvae.DATASETS,
    "encoder": hvae.ENCODERS,
    "preset": hvae.PRESETS,
  },
  video_diffusion: {
    "dataset": video_diffusion.DATASETS,
    "frames": video_diffusion.FRAMES,
    "augmentation": video_diffusion.AUGMENTATIONS,
    "preset": video_diffusion.PRESETS,
  },
  tokenizer: {
    "dataset": tokenizer.DATASETS,
    "frames": tokenizer.FRAMES,
    "recipe": tokenizer.RECIPES,
    "preset": tokenizer.PRESETS,
  },
  token_prior: {
    "dataset": token_prior.DATASETS,
    "order": token_prior.ORDERS,
    "preset": token_prior.PRESETS,
  },
  latent_diffusion: {
    "dataset": latent_diffusion.DATASETS,
    "preset": latent_diffusion.PRESETS,
  },
  # Without clips, whose name has to say more; see `test_video_vaes`.
  video_vae: {
    "dataset": [n for n in video_vae.DATASETS if n != "videos:PATH"],
    "frames": video_vae.FRAMES,
    "network": video_vae.NETWORKS,
    "preset": video_vae.PRESETS,
  },
}
# Section of the first stage, file of its configs, and frames.
FIRST_STAGES = {
  token_prior: ("tokenizer", tokenizer, 8),
  latent_diffusion: ("autoencoder", video_vae, 5),
}


# What the networks of a task are called; tasks of one network have no name.
PARTS = {"network", "discriminator", "decoder", "encoder", "log_sigmas"}


def combinations(module):
  """Every choice of arguments; one frame has no augmentation."""
  arguments = ARGUMENTS[module]
  for values in itertools.product(*arguments.values()):
    options = dict(zip(arguments, values, strict=True))
    if options.get("frames") == "1" and "augmentation" in options:
      if options["augmentation"] != arguments["augmentation"][0]:
        continue
      del options["augmentation"]
    yield options


def pairs_of(options):
  """Every two choices of two arguments."""
  return set(itertools.combinations(sorted(options.items()), 2))


def covering(rows):
  """A few of the rows with every pair of choices that any row has.

  Always the next one with most pairs that none before it has.
  """
  rows = list(rows)
  left = set().union(*map(pairs_of, rows))
  while left:
    best = max(rows, key=lambda row: len(left & pairs_of(row)))
    left -= pairs_of(best)
    yield best


def shape_of(module, options):
  """The heat equation's HVAE and discriminators take square images only."""
  height, width, channels = SHAPES[options["dataset"]]
  if module is hvae:
    return height, height, channels
  of_tokens = module in (tokenizer, token_prior)
  return width if of_tokens else height, width, channels


def load(module, options, frames=None):
  """The config; that of its first stage, if it needs one, is filled in."""
  argument = ",".join(f"{name}={value}" for name, value in options.items())
  config = module.get_config(argument)
  if module in FIRST_STAGES:
    section, coders, default = FIRST_STAGES[module]
    coder = coders.get_config(
      f"dataset={options['dataset']},preset={options['preset']},"
      f"frames={frames or default}"
    )
    config[section].hash = "0" * 64
    config[section].config = comparing.to_json(parsing.complete(coder))
  return config


def task_of(module, options, frames=None):
  """The task for images of the size that the data set has."""
  config = parsing.parse(load(module, options, frames))
  return config.make_task(shape_of(module, options))


def parameters(task):
  """Name of every network of a task -> number of its parameters."""
  multipliers = getattr(task.model, "multipliers", None)
  if multipliers is not None and not hasattr(task, "coder"):
    # Any images do, and any videos, so that fewer networks are traced.
    side = 2 ** len(multipliers)
    task = dataclasses.replace(
      task, image_shape=(side, side, task.image_shape[-1])
    )
  if isinstance(task, video_diffusion_task.VideoDiffusion):
    four = augmentations.make("high_order", frames=4)
    task = dataclasses.replace(task, augmentation=four, context=2)
  return _parameters(task)


@functools.cache
def _parameters(task):
  images = np.zeros((1, *task.image_shape), np.uint8)
  data = types.SimpleNamespace(train_images=images)
  given = {name: {} for name in base.needs(task)}
  if "autoencoder" in given:
    given["scaling"] = {"scale": 1.0, "shift": 0.0}

  def init(key):
    with mock.patch.object(hvae_start, "fit", lambda *_: {}):
      return task.init(key, data, **given)[0]

  params = jax.eval_shape(init, jax.random.key(0))
  parts = params if params.keys() <= PARTS else {"network": params}
  return {name: shapes.count_parameters(parts[name]) for name in parts}
