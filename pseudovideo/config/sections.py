"""The sections that every config has: data, train, evaluate."""

import dataclasses
from typing import Annotated, Literal

from annotated_types import Ge, Le

from pseudovideo import errors, pixels
from pseudovideo.data import plain
from pseudovideo.fields import Count, NotNegativeInt, Seed
from pseudovideo.metrics import image_metrics, set_metrics

# Steps are counted in int32; pictures and batches are held in memory.
Steps = Annotated[int, Ge(1), Le(2**30)]
BatchSize = Annotated[int, Ge(1), Le(2**20)]
Pictures = Annotated[int, Ge(1), Le(10_000)]
NumSamples = Annotated[int, Ge(2), Le(10**7)]
When = Literal["auto", "always", "never"]


@dataclasses.dataclass(frozen=True)
class DataConfig:
  """Section `data`.

  Attributes:
    name: name of the data set, see `pseudovideo.data`.
    binarize: `none`, `bernoulli` (redrawn at every step) or `threshold`.
    accept_changed: whether a run goes on although its images are others than
      those that it was trained on.
    background: colour that transparent pixels of a folder's images show, a
      name or `#rrggbb`.

  Raises:
    UserError: the background is no colour.
  """

  name: str
  binarize: pixels.Binarize = "none"
  accept_changed: bool = False
  background: str = "white"

  def __post_init__(self):
    plain.colour(self.background, "data.background")


@dataclasses.dataclass(frozen=True)
class TrainConfig:
  """Section `train`.

  Attributes:
    steps: number of updates.
    batch_size: images per update, over all devices and processes.
    accumulate: micro-batches per update; divides the batch.
    seed: seed of the weights, the order of the images and all noise.
    log_every: steps between lines of metrics.
    eval_every: steps between held-out losses and sample grids; 0 for none.
    save_every: steps between checkpoints.
    wait_for_saves: whether training waits until a checkpoint is on disk, so
      that a kill costs at most one interval. Otherwise it continues meanwhile,
      and a kill while a checkpoint is written also costs the interval before
      it.
    keep: how many of the newest checkpoints stay.
    keep_every: checkpoints of steps divisible by it stay too; 0 for none.
    grid: images in the sample grids.
    fsdp: whether the weights, their average and the optimizer's moments are
      sharded over the devices, instead of a copy on each.
    skip_bad_steps: how many updates in a row may be left out because their
      loss, gradient or updated weights are not finite; one more ends the run.
      With 0 the first ends it.
    start_from: folder of a run whose weights a new run starts from, with its
      own optimizer and schedule; empty for random weights.
  """

  steps: Steps
  batch_size: BatchSize
  accumulate: Count = 1
  seed: Seed = 0
  log_every: Count = 100
  eval_every: NotNegativeInt = 1000
  save_every: Count = 1000
  wait_for_saves: bool = False
  keep: Count = 3
  keep_every: NotNegativeInt = 0
  grid: Pictures = 16
  fsdp: bool = False
  skip_bad_steps: NotNegativeInt = 0
  start_from: str = ""

  def check(self) -> None:
    """Raises `UserError` if micro-batches do not make up the batch."""
    if self.batch_size % self.accumulate:
      raise errors.UserError(
        "train.accumulate must divide train.batch_size; got "
        f"{self.accumulate} and {self.batch_size}."
      )


@dataclasses.dataclass(frozen=True)
class EvaluateConfig:
  """Section `evaluate`.

  Attributes:
    num_samples: images that are generated and scored.
    batch_size: images per call of the sampler.
    seed: seed of the samples and of the metrics that draw subsets.
    metrics: names from `metrics.set_metrics.METRICS` and
      `metrics.image_metrics.METRICS`, separated by commas.
    classifier: `auto`: scores over the data set's own classifier for grey
      images with labels, and for colour images if the package brings one;
      `always` or `never`.
    efflite0: `auto`: scores over EfficientNet-Lite0 where its weights are
      installed; `always` or `never`.
    inception: `auto`: FID too, for colour images where the published weights
      are on this machine; `always` or `never`.
  """

  num_samples: NumSamples = 1000
  batch_size: Count = 250
  seed: Seed = 0
  metrics: str = "FD,KID,IS"
  classifier: When = "auto"
  efflite0: When = "auto"
  inception: When = "auto"

  @property
  def metric_names(self) -> tuple[str, ...]:
    """`metrics` as a list."""
    return tuple(name.strip() for name in self.metrics.split(","))

  def check(self) -> None:
    """Raises `UserError` for an unknown metric."""
    known = {**set_metrics.METRICS, **image_metrics.METRICS}
    for name in self.metric_names:
      errors.look_up("metric in evaluate.metrics", name, known)
