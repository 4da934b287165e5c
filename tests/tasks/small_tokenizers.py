"""Tokenizers that compile in seconds, for 8x8 images.

Layers over time, and attention in the discriminator, make compilation several
times slower and are tested where they are defined.
"""

import dataclasses

import jax
import numpy as np

from configs import tokenizer as configs
from pseudovideo import augmentations, data, optimizers
from pseudovideo.config import comparing, parsing
from pseudovideo.models import discriminator, tokenizer
from pseudovideo.models.quantizers import lfq, vq
from pseudovideo.runs import checkpoints
from pseudovideo.tasks import video_tokenizer

NET = tokenizer.Tokenizer(
  frames=4, channels=1, patch=(2, 4, 4), width=16, heads=2, head_width=8,
  spatial_layers=1, temporal_layers=0,
)  # fmt: skip
VIDEO = video_tokenizer.VideoTokenizer(
  image_shape=(8, 8, 1),
  augmentation=augmentations.make("blur", frames=4, rate=0.5),
  model=NET,
  quantizer=vq.Cosine(codes=16, width=16),
  discriminator=discriminator.Discriminator(width=4, max_width=6, attention=0),
  discriminator_optimizer=optimizers.AdamConfig(),
  commitment_weight=0.7,
  judged_frame="last",
  gradient_penalty=3.0,
)


def changed(task=VIDEO, **fields):
  """The task with other fields."""
  return dataclasses.replace(task, **fields)


IMAGE = changed(
  augmentation=augmentations.make("identity", frames=1),
  model=NET.clone(frames=1),
  adversarial_from=3,
)
FIRST_FRAME = changed(
  augmentation=augmentations.make("blur", frames=5, rate=0.5),
  model=NET.clone(frames=5, grid="first_frame"),
)
PLAIN = changed(IMAGE, adversarial=False)
LOOKUP_FREE = changed(
  IMAGE, quantizer=lfq.LookupFree(codes=16, width=16), most_adaptive=1e-3
)


def moved(params, size=0.1):
  """Parameters away from their initial values, where nothing is zero."""
  rng = np.random.default_rng(0)
  return jax.tree.map(
    lambda p: p + size * rng.normal(size=p.shape).astype(np.float32), params
  )


def images(num, start=0):
  """Digits, (num, 8, 8, 1) uint8."""
  return np.asarray(data.load("digits").train_images[start : start + num])


def save_run(workdir):
  """Writes a run of a tokenizer of 4 frames of digits, whose grid is (2, 4, 4).

  Its weights were moved away from their initial values.

  Returns:
    `workdir`.
  """
  raw = parsing.complete(configs.get_config("frames=8,preset=tiny"))
  raw["augmentation"]["frames"] = raw["model"]["frames"] = 4
  raw["model"].update(spatial_layers=1, temporal_layers=0)
  raw["task"]["adversarial"] = False
  task = parsing.parse(raw).make_task((8, 8, 1))
  params, extra = task.init(jax.random.key(0), data.load("digits"))
  store = checkpoints.Checkpoints(workdir / checkpoints.FOLDER)
  parts = {"ema": moved(params), "extra": extra}
  store.save(1, parts, config=comparing.to_json(raw), wait=True)
  store.close()
  return workdir
