"""Pseudo videos of 1-D signals: training, samples and their scores.

A signal is an image of one row, so that tasks, augmentations and networks are
those of images, unchanged. Of the 3x3 convolutions only the middle row of
weights ever sees more than padding; every row of the table wastes equally.
The network has one level, since images of one row cannot be halved, and looks
at all points at once in its middle.

All rows have the video network, which has the same parameters for any number of
frames, and the schedule of the paper: half of the frames jointly, then one at a
time, given as many as the window holds.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from experiments.studies.mnist1d import signals as mnist1d_signals
from experiments.studies.mnist1d.signals import Signals
from pseudovideo import augmentations, keys, optimizers
from pseudovideo.data import pipeline
from pseudovideo.devices import sharding
from pseudovideo.diffusion import process as processes
from pseudovideo.evaluation import sampling
from pseudovideo.metrics import frechet, statistics
from pseudovideo.models import video_unet
from pseudovideo.pretrained.features import weights_hash
from pseudovideo.samplers import settings
from pseudovideo.tasks import video_diffusion
from pseudovideo.training import state, steps

Scores = dict[str, dict[str, Any]]
OF_NETWORK, OF_POINTS = "FD-mnist1dcls", "FD-points"


@dataclasses.dataclass(frozen=True)
class Budget:
  """Size and training of a video model.

  Attributes:
    channels: width of the network.
    blocks: residual blocks on the way down; one more on the way up.
    process_steps: steps of the diffusion.
    respacing: steps that sampling keeps, per window.
    updates: updates of the optimizer.
    batch_size: videos per update.
    learning_rate: AdamW's peak, after 100 updates or a tenth of all; then a
      cosine to zero.
    num_samples: signals that are drawn and scored.
  """

  channels: int = 16
  blocks: int = 1
  process_steps: int = 1000
  respacing: str = "50"
  updates: int = 1000
  batch_size: int = 32
  learning_rate: float = 2e-3
  num_samples: int = 500


@dataclasses.dataclass(frozen=True)
class Video:
  """Pseudo videos that a model is trained on.

  Attributes:
    augmentation: a name of `pseudovideo.augmentations`.
    frames: T.
    fields: other fields of the augmentation.
    times: updates, as a multiple of the budget's.
  """

  augmentation: str
  frames: int
  fields: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  times: int = 1


def make_task(video: Video, budget: Budget) -> video_diffusion.VideoDiffusion:
  """The task, checked; images are of shape (1, 40, 1)."""
  task = video_diffusion.VideoDiffusion(
    image_shape=(1, mnist1d_signals.POINTS, 1),
    model=video_unet.VideoUNet(
      channels=budget.channels,
      multipliers=(1,),
      blocks=budget.blocks,
      attention=(),
      heads=2,
      groups=8,
    ),
    augmentation=augmentations.make(
      video.augmentation, frames=video.frames, **video.fields
    ),
    process=processes.Process(steps=budget.process_steps),
    sampler=settings.Sampler(respacing=budget.respacing),
    context=max(video.frames // 2, 1),
  )
  task.check()
  return task


def train(
  task: video_diffusion.VideoDiffusion,
  images: np.ndarray,
  budget: Budget,
  *,
  updates: int,
  seed: int,
) -> Any:
  """The averaged parameters after so many updates.

  Args:
    task: a task of `make_task`.
    images: (N, 1, L, 1) uint8.
    budget: batch size and learning rate.
    updates: number of updates of the optimizer.
    seed: seed of the initial weights, of the order and of all noise.
  """
  key = jax.random.key(seed)
  config = optimizers.OptimizerConfig(
    learning_rate=budget.learning_rate,
    schedule="cosine",
    warmup_steps=min(100, updates // 10),
    clip_norm=1.0,
  )
  optimizer = optimizers.make_optimizer(
    config, optimizers.make_schedule(config, updates)
  )
  step = jax.jit(
    steps.make_step(task, optimizer, ema_decay=0.998, ema_warmup=True),
    donate_argnums=0,
  )
  batches = pipeline.Batches(
    images, None, batch_size=budget.batch_size, seed=seed
  )
  params, extra = task.init(keys.named(key, "init"), None)
  train_state = state.create(params, extra, optimizer)
  for number in range(updates):
    train_state, metrics = step(
      train_state, batches.batch(number), keys.named(key, "train")
    )
    if number % 8 == 0:
      # Bounds how far the host runs ahead.
      jax.block_until_ready(metrics)
  return train_state.ema


def sample(
  task: video_diffusion.VideoDiffusion, params: Any, *, num: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
  """Last frames of `num` videos, (num, 1, L, 1), and some videos; uint8."""
  sampler = sampling.make_sampler(task, sharding.make_mesh(jax.devices()[:1]))
  return sampling.generate_images(
    params,
    {},
    key=keys.named(jax.random.key(seed), "samples"),
    num=num,
    batch_size=min(num, 250),
    sampler=sampler,
  )


@dataclasses.dataclass(frozen=True)
class Scorer:
  """Compares signals with the held-out ones.

  Attributes:
    network: one of `classifiers.NETWORKS`.
    params: parameters of the network.
    error: held-out error of the network, in 0 .. 1.
    signals: signals; their test split is the reference.
  """

  network: nn.Module
  params: Any
  error: float
  signals: Signals

  def scores(self, images: np.ndarray) -> Scores:
    """Frechet distances over the network's features and over the points.

    Both sides are read from uint8 images.

    Args:
      images: (N, 1, L, 1) uint8, N at least 2.
    """
    reference = mnist1d_signals.to_images(self.signals.test)

    def distance(features: Callable[[np.ndarray], np.ndarray]) -> float:
      signals = map(mnist1d_signals.from_images, (images, reference))
      moments = (statistics.moments_of(features(some)) for some in signals)
      return frechet.distance(*map(frechet.gaussian, moments))

    about = {
      "num_samples": len(images),
      "reference_split": "test",
      "reference_size": len(reference),
    }
    return {
      OF_NETWORK: {
        "name": OF_NETWORK,
        "value": distance(self.features),
        "definition": "Squared Frechet distance over the last hidden layer of "
        "a convolutional classifier of these 1-D digits.",
        "feature_network": {
          "name": "mnist1dcls",
          "weights_hash": weights_hash(self.params),
          "held_out_accuracy": 1 - self.error,
        },
        **about,
      },
      OF_POINTS: {
        "name": OF_POINTS,
        "value": distance(lambda signals: signals),
        "definition": "Squared Frechet distance over the 40 points of the "
        "signals.",
        **about,
      },
    }

  def features(self, signals: np.ndarray) -> np.ndarray:
    """Last hidden layer of signals, (N, L) -> (N, D)."""
    return np.asarray(self.network.apply({"params": self.params}, signals)[0])
