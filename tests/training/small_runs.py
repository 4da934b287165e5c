"""Runs of a few updates, and what a folder holds afterwards."""

import hashlib

import jax
import numpy as np
from PIL import Image

from configs import hvae
from pseudovideo.config import parsing
from pseudovideo.runs import checkpoints, metric_log

PARTS = ("step", "params", "ema", "opt_state", "extra")


def config(data="digits", **train_fields):
  """The config of six updates of a network with one level."""
  raw = parsing.complete(hvae.get_config("preset=tiny"))
  raw["data"]["name"] = data
  raw["train"] |= dict(steps=6, save_every=2, eval_every=0, log_every=1)
  raw["train"] |= train_fields
  raw["task"]["levels"] = 2
  raw["model"] |= dict(multipliers=(1,), attention=())
  raw["evaluate"] |= dict(num_samples=8, batch_size=8, metrics="FD")
  # Adam makes steps of equal size out of gradients of any size, and so of
  # rounding errors; with this it does not, and runs can be compared.
  raw["optimizer"] |= dict(eps=0.1, schedule="constant", warmup_steps=0)
  return raw


def final_hash(workdir) -> str:
  """Of every bit of the newest checkpoint's arrays."""
  _, state, _ = checkpoints.load(workdir, parts=PARTS)
  digest = hashlib.sha256()
  for path, leaf in jax.tree_util.tree_leaves_with_path(state):
    digest.update(jax.tree_util.keystr(path).encode())
    digest.update(np.asarray(leaf).tobytes())
  return digest.hexdigest()


def rows(workdir, split=None):
  """The lines of the log without their times."""
  return [
    {name: value for name, value in row.items() if name != "seconds"}
    for row in metric_log.read_metrics(workdir)
    if split in (None, row["split"])
  ]


def photos(folder, names, seed=0):
  """Writes grey 8x8 images of noise; each depends on its name and the seed."""
  folder.mkdir(parents=True, exist_ok=True)
  for name in names:
    number = int(hashlib.sha256(f"{name} {seed}".encode()).hexdigest()[:8], 16)
    noise = np.random.default_rng(number).integers(0, 256, (8, 8), np.uint8)
    Image.fromarray(noise).save(folder / f"{name}.png")
  return folder
