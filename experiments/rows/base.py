"""Rows of tables: their configs, their seeds, and where their runs lie.

A row is trained by itself, or samples the weights of another row in another
way. A model of tokens or of latents needs the run of its first stage before,
and a video VAE may begin as the image VAE of another row. A run lies in
ROOT/DATASET-PRESET/ROW-seedS, whichever table it is run for: rows that stand in
several tables are trained once.
"""

import dataclasses
import functools
import pathlib
import re
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pseudovideo import errors
from pseudovideo.config import comparing, parsing

Overrides = Mapping[str, Any]


@dataclasses.dataclass(frozen=True, eq=False)
class Row:
  """One row of a table, for any data set and preset.

  Attributes:
    name: name of its folder, without the seed.
    label: first cell of its line in a table.
    module: a module of `configs`.
    arguments: name -> value of the module's `get_config`, apart from data set
      and preset.
    overrides: field such as `process.steps` -> value, or a function of the
      value that the config has.
    by_preset: preset -> overrides that hold there alone.
    paper: data set -> the paper's score.
    seeds: preset -> training seeds; (0,) for a preset that is absent.
    weights_from: preset -> the row whose weights are sampled there, without
      training of its own.
    first_stage: the row whose tokens or latents are learned, if there is one.
    start: the row of the image VAE that a video VAE is inflated from, if it is.
    is_control: True for a control that the paper does not have.

  Raises:
    ValueError: the weights of another row, with overrides that alter weights.
  """

  name: str
  label: str
  module: types.ModuleType
  arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  overrides: Overrides = dataclasses.field(default_factory=dict)
  by_preset: Mapping[str, Overrides] = dataclasses.field(default_factory=dict)
  paper: Mapping[str, float] = dataclasses.field(default_factory=dict)
  seeds: Mapping[str, Sequence[int]] = dataclasses.field(default_factory=dict)
  weights_from: Mapping[str, "Row"] = dataclasses.field(default_factory=dict)
  first_stage: "Row | None" = None
  start: "Row | None" = None
  is_control: bool = False

  def __post_init__(self):
    for preset in self.weights_from:
      for field in self.overrides_for(preset):
        if field.partition(".")[0] not in comparing.AFTER_TRAINING:
          raise ValueError(
            f"The row {self.name!r} has the weights of another with preset "
            f"{preset!r}, and so cannot set {field}."
          )

  def overrides_for(self, preset: str) -> dict[str, Any]:
    """The overrides that hold for a preset, of all presets or of it alone."""
    return {**self.overrides, **self.by_preset.get(preset, {})}


@dataclasses.dataclass(frozen=True)
class Table:
  """Rows that are shown together.

  Attributes:
    name: name of the table, such as `table3`.
    title: a line without a full stop.
    family: folder of published results; tables that share rows share it.
    rows: rows in the paper's order.
    score: the paper's score, by the name that it has in results.json.
    fallback_dataset: data set whose paper scores are shown where the paper has
      none of the one at hand.
    words: a word in labels -> what it means there.
  """

  name: str
  title: str
  family: str
  rows: tuple[Row, ...]
  score: str = "FID"
  fallback_dataset: str = "cifar10"
  words: Mapping[str, str] = dataclasses.field(default_factory=dict)

  def chosen(self, names: Iterable[str] | None) -> tuple[Row, ...]:
    """The rows of these names, in the table's order; None takes all.

    Raises:
      UserError: there is no such row.
    """
    if names is None:
      return self.rows
    table = {row.name: row for row in self.rows}
    picked = [
      errors.look_up(f"row of {self.name}", name, table) for name in names
    ]
    return tuple(row for row in self.rows if row in picked)


@dataclasses.dataclass(frozen=True)
class Job:
  """One run of a row.

  Attributes:
    row: the row that is run.
    dataset: a name of `pseudovideo.data`.
    preset: a preset of the row's config file.
    seed: seed of its training, and of its samples.
  """

  row: Row
  dataset: str
  preset: str
  seed: int

  @property
  def name(self) -> str:
    """ROW-seedS."""
    return f"{self.row.name}-seed{self.seed}"

  @property
  def title(self) -> str:
    """The row's label and the seed."""
    return f"{self.row.label}, seed {self.seed}"

  @property
  def source(self) -> "Job | None":
    """The run whose weights this one samples, if it is not trained."""
    row = self.row.weights_from.get(self.preset)
    return row and dataclasses.replace(self, row=row)

  @property
  def first_stage(self) -> "Job | None":
    """The run whose tokens or latents this one, or its source, learns."""
    if self.source is not None:
      return self.source.first_stage
    row = self.row.first_stage
    return row and dataclasses.replace(self, row=row)

  @property
  def start(self) -> "Job | None":
    """The run that this one is inflated from."""
    row = self.row.start
    return row and dataclasses.replace(self, row=row)

  @property
  def needs(self) -> "Job | None":
    """The run that must be finished before this one can begin."""
    return self.source or self.first_stage or self.start

  @functools.cached_property
  def config(self) -> parsing.Config:
    """The row's config.

    Raises:
      UserError: no such data set, preset or field.
    """
    options = {"dataset": self.dataset, "preset": self.preset}
    options |= self.row.arguments
    argument = ",".join(f"{name}={value}" for name, value in options.items())
    changes = self.row.overrides_for(self.preset)
    changes |= {
      "train.seed": self.seed,
      "evaluate.seed": self.seed,
      "title": f"{self.title}, {self.dataset} ({self.preset})",
    }
    return parsing.parse(self.row.module.get_config(argument), changes)

  def folder(self, base: str | pathlib.Path) -> pathlib.Path:
    """DATASET-PRESET below `base`; a path in the name becomes one word."""
    dataset = re.sub(r"[^\w.]+", "-", self.dataset)
    return pathlib.Path(base, f"{dataset}-{self.preset}")

  def workdir(self, root: str | pathlib.Path) -> pathlib.Path:
    """Read or write the run in this folder."""
    return self.folder(root) / self.name

  def published(self, base: str | pathlib.Path, family: str) -> pathlib.Path:
    """The committed file of its results."""
    return self.folder(pathlib.Path(base, family)) / f"{self.name}.json"


def jobs(
  rows: Iterable[Row],
  dataset: str,
  preset: str,
  seeds: Sequence[int] | None = None,
) -> list[Job]:
  """The runs of some rows: the first seed of every row, then the second.

  Args:
    rows: rows in the order of the table.
    dataset: a name of `pseudovideo.data`.
    preset: a preset of the config files.
    seeds: training seeds of every row; None takes each row's own.
  """
  ranked = [
    (rank, Job(row, dataset, preset, seed))
    for row in rows
    for rank, seed in enumerate(seeds or row.seeds.get(preset, (0,)))
  ]
  return [job for _, job in sorted(ranked, key=lambda pair: pair[0])]


def with_sources(chosen: Iterable[Job]) -> list[Job]:
  """Adds the runs that others need; each run is there once, after its needs."""
  plan = {}
  for job in chosen:
    needed = [job]
    while (before := needed[-1].needs) is not None:
      needed.append(before)
    plan |= {job.name: job for job in reversed(needed)}
  return list(plan.values())


def scaled(factor: float) -> Callable[[int], int]:
  """An override: the config's number times `factor`, rounded."""
  return lambda number: round(factor * number)
