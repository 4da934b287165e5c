"""From an `ml_collections` config to checked objects.

A config file returns a ConfigDict with the sections

  data       the data set and how its pixels are made
  task       `name`, and the fields of that task's dataclass
  model      the fields of the task's network; a task may have more sections,
             `tasks.SECTIONS`, such as `augmentation` (its `name` and fields)
  optimizer  `OptimizerConfig`
  train      `TrainConfig`
  evaluate   `EvaluateConfig`

Every section becomes a dataclass, so that an unknown field, a missing one or
a wrong type is refused with one sentence before anything is compiled. The JSON
form of the config travels in the checkpoint.
"""

import dataclasses
import json
import math
import sys
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any

import flax.linen as nn
import numpy as np

from pseudovideo import augmentations, data, errors, optimizers, pixels, tasks
from pseudovideo.augmentations import identity
from pseudovideo.metrics import networks, set_metrics
from pseudovideo.models import quantizers
from pseudovideo.tasks import first_stage

# Sections whose fields may change after training: they alter no weights.
AFTER_TRAINING = ("evaluate", "sampler")

# Sections with a `name` that says which dataclass they are.
NAMED = {
  "task": tasks.TABLE,
  "augmentation": augmentations.TABLE,
  "quantizer": quantizers.TABLE,
}

# Most of what `train` may ask for: steps are counted in int32, pictures and
# batches are held in memory.
MOST = {"steps": 2**30, "batch_size": 2**20, "grid": 10_000}
MOST_SAMPLES = 10**7

# Fields that may change when a run is resumed: they do not alter its weights.
RESUMABLE = (
  "title",
  "task.start",
  "model.remat",
  "train.log_every",
  "train.eval_every",
  "train.save_every",
  "train.wait_for_saves",
  "train.keep",
  "train.keep_every",
  "train.grid",
  "train.fsdp",
  "train.skip_bad_steps",
  "tokenizer.workdir",
  "tokenizer.tokens",
  "autoencoder.workdir",
)


@dataclasses.dataclass(frozen=True)
class DataConfig:
  """Section `data`.

  Attributes:
    name: of the data set, see `pseudovideo.data`.
    binarize: `none`, `bernoulli` (redrawn at every step) or `threshold`.
  """

  name: str
  binarize: str = "none"

  def check(self) -> None:
    """Raises `UserError` for values outside their range."""
    if self.binarize not in pixels.BINARIZE:
      raise errors.unknown("data.binarize", self.binarize, pixels.BINARIZE)


@dataclasses.dataclass(frozen=True)
class TrainConfig:
  """Section `train`.

  Attributes:
    steps: number of updates.
    batch_size: images per update, over all devices and processes.
    accumulate: micro-batches per update.
    seed: of the weights, the order of the images and all noise.
    log_every: steps between lines of metrics.
    eval_every: steps between held-out losses and sample grids; 0 for none.
    save_every: steps between checkpoints.
    wait_for_saves: whether training waits until a checkpoint is on disk, so
      that a kill costs at most one interval; otherwise it goes on meanwhile,
      and a kill in the middle of writing costs those steps too.
    keep: how many of the newest checkpoints stay.
    keep_every: steps divisible by it stay too; 0 for no others.
    grid: images in the sample grids.
    fsdp: whether the weights, their average and the optimizer's moments are
      cut over the devices, instead of a copy on each.
    skip_bad_steps: how many steps in a row may be left out because their loss
      or gradient is not finite; one more ends the run, as the first does if
      this is 0.
  """

  steps: int
  batch_size: int
  accumulate: int = 1
  seed: int = 0
  log_every: int = 100
  eval_every: int = 1000
  save_every: int = 1000
  wait_for_saves: bool = False
  keep: int = 3
  keep_every: int = 0
  grid: int = 16
  fsdp: bool = False
  skip_bad_steps: int = 0

  def check(self) -> None:
    """Raises `UserError` for values outside their range."""
    for name in (
      "steps",
      "batch_size",
      "accumulate",
      "log_every",
      "save_every",
      "keep",
      "grid",
    ):
      if getattr(self, name) < 1:
        raise errors.UserError(
          f"train.{name} must be at least 1; got {getattr(self, name)}."
        )
    for name in ("eval_every", "keep_every", "skip_bad_steps"):
      if getattr(self, name) < 0:
        raise errors.UserError(
          f"train.{name} must not be negative; got {getattr(self, name)}."
        )
    for name, most in MOST.items():
      if getattr(self, name) > most:
        raise errors.UserError(
          f"train.{name} must be at most {most}; got {getattr(self, name)}."
        )
    _check_seed("train.seed", self.seed)
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
    seed: of the samples and of the metrics that draw subsets.
    metrics: names of `metrics.set_metrics.METRICS` with commas between.
    inception: `auto`: FID too, for colour images where the published weights
      are on this machine; `always` or `never`.
  """

  num_samples: int = 1000
  batch_size: int = 250
  seed: int = 0
  metrics: str = "FD,KID,IS"
  inception: str = "auto"

  @property
  def metric_names(self) -> tuple[str, ...]:
    """`metrics` as a list."""
    return tuple(name.strip() for name in self.metrics.split(","))

  def check(self) -> None:
    """Raises `UserError` for values outside their range."""
    if self.num_samples < 2 or self.batch_size < 1:
      raise errors.UserError(
        "evaluate.num_samples must be at least 2 and evaluate.batch_size at "
        f"least 1; got {self.num_samples} and {self.batch_size}."
      )
    if self.num_samples > MOST_SAMPLES:
      raise errors.UserError(
        f"evaluate.num_samples must be at most {MOST_SAMPLES}; got "
        f"{self.num_samples}."
      )
    _check_seed("evaluate.seed", self.seed)
    set_metrics.kept(self.metric_names)
    if self.inception not in networks.INCEPTION:
      raise errors.unknown(
        "evaluate.inception", self.inception, networks.INCEPTION
      )


def _check_seed(name: str, seed: int) -> None:
  """`jax.random.key` would use the lower 32 bits only, without a word."""
  if not 0 <= seed < 2**32:
    raise errors.UserError(f"{name} must lie in [0, 2**32); got {seed}.")


@dataclasses.dataclass(frozen=True)
class Config:
  """All sections, checked.

  Attributes:
    title: what the run is called in logs and reports.
    data: see there.
    task: name of the task.
    task_fields: its fields that do not depend on the data.
    optimizer: see there.
    train: see there.
    evaluate: see there.
  """

  title: str
  data: DataConfig
  task: str
  task_fields: dict[str, Any]
  optimizer: optimizers.OptimizerConfig
  train: TrainConfig
  evaluate: EvaluateConfig

  def make_task(self, image_shape: tuple[int, int, int]) -> Any:
    """The task for images of the given (H, W, C), checked.

    Raises:
      UserError: they do not fit, or fields do not fit each other.
    """
    given = dict(image_shape=image_shape, binarize=self.data.binarize)
    kind = first_stage.kind_of(self.task_fields)
    if kind is not None:
      coder = parse(kind.config(self.task_fields[kind.section]))
      given["coder"] = coder.make_task(image_shape)
    task = tasks.TABLE[self.task](**given, **self.task_fields)
    task.check()
    return task


def parse(raw: Mapping[str, Any]) -> Config:
  """Checks names, types and ranges of all sections.

  Args:
    raw: the ConfigDict of a config file, or its JSON form.

  Raises:
    UserError: the first mistake found, in one sentence.
  """
  raw = plain(raw)
  task, schemas = _schemas(raw)
  for section in raw:
    if section not in ("title", *schemas):
      raise errors.unknown("section of the config", section, schemas)
  checked = {
    section: check_fields(cls, raw.get(section, {}), section, given)
    for section, (cls, given) in schemas.items()
  }
  for section in set(checked) & set(NAMED):
    checked[section].pop("name")
  task_fields = checked.pop("task")
  built = {s: schemas[s][0](**fields) for s, fields in checked.items()}
  for section in set(built) & set(tasks.SECTIONS):
    task_fields[section] = built.pop(section)
  for section in built.values():
    section.check()
  optimizers.make_schedule(built["optimizer"], built["train"].steps)
  config = Config(
    title=raw.get("title", "run"), task=task, task_fields=task_fields, **built
  )
  _check_clips(config)
  return config


def _check_clips(config: Config) -> None:
  """Refuses clips where images are learned from, before any is decoded.

  Raises:
    UserError: also of an augmentation that does not take what there is.
  """
  name = config.data.name
  frames = data.clip_frames(name)
  able = [n for n, t in tasks.TABLE.items() if getattr(t, "takes_clips", False)]
  if frames and config.task not in able:
    raise errors.UserError(
      f"The data set {name!r} holds clips of videos, and the task "
      f"{config.task} learns from images; choose other data, or the task "
      f"{' or '.join(able)}."
    )
  chosen = config.task_fields.get("augmentation")
  unchanged = isinstance(chosen, identity.Identity)
  if frames and not unchanged:
    raise errors.UserError(
      f"The data set {name!r} holds clips, which no augmentation corrupts; set "
      f"augmentation.name='identity' and augmentation.frames={frames}."
    )
  if unchanged and chosen.frames != (frames or 1):
    raise errors.UserError(
      f"The augmentation 'identity' leaves examples as they are, and those of "
      f"{name!r} have {frames or 1} frame{'s' * ((frames or 1) > 1)}; got "
      f"augmentation.frames={chosen.frames}, so set it to that or choose "
      "another augmentation."
    )


def complete(raw: Mapping[str, Any]) -> dict[str, Any]:
  """The config with every field that has a default written out.

  So that any of them can be overridden on the command line, and a saved config
  does not depend on later defaults.
  """
  raw = plain(raw)
  _, schemas = _schemas(raw)
  full = {"title": raw.get("title", "run")}
  for section, (cls, given) in schemas.items():
    defaults = {
      name: field.default
      for name, field in _fields(cls, given).items()
      if field.default not in (dataclasses.MISSING, None)
    }
    full[section] = defaults | raw.pop(section, {})
  return full | raw


def _schemas(
  raw: Mapping[str, Any],
) -> tuple[str, dict[str, tuple[type, tuple[str, ...]]]]:
  """The task's name; per section its class, and fields not from the config."""
  for section, fields in raw.items():
    if section == "title":
      _fitted(fields, str, section)
    elif not isinstance(fields, dict):
      raise errors.UserError(
        f"{section} must be a section with fields; got {errors.shown(fields)}."
      )
  name = raw.get("task", {}).get("name")
  task = errors.look_up("task", str(name), tasks.TABLE)
  hints = typing.get_type_hints(task)
  sections = [field for field in tasks.SECTIONS if field in hints]
  schemas = {"data": (DataConfig, ())}
  given = ("image_shape", "binarize", "coder", *sections)
  schemas["task"] = (task, given)
  for section in sections:
    cls = hints[section]
    if section in NAMED:
      kind = raw.get(section, {}).get("name")
      if kind is None:
        raise errors.UserError(
          f"The config lacks {section}.name, which task.name={name!r} needs."
        )
      cls = errors.look_up(section, str(kind), NAMED[section])
    of_module = ("parent", "name") if issubclass(cls, nn.Module) else ()
    refuse_derived(raw, section, raw.get(section, {}))
    schemas[section] = (cls, (*of_module, *_derived(task, section)))
  return name, schemas | {
    "optimizer": (optimizers.OptimizerConfig, ()),
    "train": (TrainConfig, ()),
    "evaluate": (EvaluateConfig, ()),
  }


def _derived(task: type, section: str) -> tuple[str, ...]:
  """Fields of a section that follow from the tokenizer."""
  return getattr(task, "derived", ()) if section == "model" else ()


def refuse_derived(
  raw: Mapping[str, Any], section: str, names: Iterable[str]
) -> None:
  """Refuses fields that follow from the tokenizer.

  Args:
    raw: a config; its task is known.
    section: of the config.
    names: fields that are to be set there.

  Raises:
    UserError: names the first of them.
  """
  derived = _derived(tasks.TABLE[raw["task"]["name"]], section)
  for name in names:
    if name in derived:
      raise errors.UserError(
        f"{section}.{name} follows from the tokenizer and cannot be set; leave "
        "it away."
      )


def _fields(
  cls: type, given: tuple[str, ...]
) -> dict[str, dataclasses.Field[Any]]:
  return {f.name: f for f in dataclasses.fields(cls) if f.name not in given}


def check_fields(
  cls: type,
  section: Mapping[str, Any],
  path: str,
  given: tuple[str, ...] = (),
) -> dict[str, Any]:
  """The section with lists made tuples, after checking names and types.

  Args:
    cls: a dataclass or Linen module.
    section: field values; a task or augmentation has a `name` besides.
    path: how the section is called in messages.
    given: fields that do not come from the config.

  Raises:
    UserError: an unknown field, a missing one, or a wrong type.
  """
  hints = typing.get_type_hints(cls)
  fields = _fields(cls, given)
  allowed = set(fields)
  if path in NAMED:
    allowed.add("name")
    hints["name"] = str
  checked = {}
  for name, value in section.items():
    if name not in allowed:
      raise errors.unknown(f"field of {path}", name, fields)
    checked[name] = _fitted(value, hints[name], f"{path}.{name}")
  for name, field in fields.items():
    required = (
      field.default is dataclasses.MISSING
      and field.default_factory is dataclasses.MISSING
    )
    if required and name not in checked:
      raise errors.UserError(f"The config lacks the field {path}.{name}.")
  return checked


def _fitted(value: Any, hint: Any, path: str) -> Any:
  """The value as the type `hint`, or a sentence."""
  try:
    fitted = _converted(value, hint)
  except TypeError:
    raise errors.UserError(
      f"{path} must be {spoken(hint)}; got {errors.shown(value)} "
      f"({type(value).__name__})."
    ) from None
  _check_32_bits(fitted, path)
  return fitted


def _check_32_bits(value: Any, path: str) -> None:
  """Refuses numbers that arrays would change without a word.

  Raises:
    UserError: an integer of more than 32 bits, or a number that is infinite, 0
      or 1 in float32 only.
  """
  for number in value if isinstance(value, tuple) else (value,):
    if type(number) is int and not abs(number) < 2**32:
      raise errors.UserError(
        f"{path} must be between -2**32 and 2**32; got {errors.shown(number)}."
      )
    if type(number) is float:
      rounded = _in_float32(number)
      if rounded != number and (rounded in (0, 1) or math.isinf(rounded)):
        raise errors.UserError(
          f"{path} is {number!r}, which networks, computing in float32, take "
          f"for {rounded:g}; give a number that float32 can tell from it."
        )


def _in_float32(number: float) -> float:
  """As a device rounds it, which takes the least numbers for 0."""
  with np.errstate(over="ignore", under="ignore"):
    rounded = np.float32(number)
  return float(rounded) if abs(rounded) >= np.finfo("float32").tiny else 0.0


def _converted(value: Any, hint: Any) -> Any:
  """The value as the type `hint`, or a TypeError."""
  options = (
    typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
  )
  for option in options:
    if typing.get_origin(option) is tuple and isinstance(value, list | tuple):
      element = typing.get_args(option)[0]
      return tuple(_converted(v, element) for v in value)
    if option is float and type(value) in (int, float):
      # False for nan too; integers may be beyond all floats.
      if -sys.float_info.max <= value <= sys.float_info.max:
        return float(value)
    elif type(value) is option:
      return value
  raise TypeError


def spoken(hint: Any) -> str:
  """A type in words."""
  if isinstance(hint, types.UnionType):
    return " or ".join(spoken(h) for h in typing.get_args(hint))
  if typing.get_origin(hint) is tuple:
    return f"a tuple of values that are each {spoken(typing.get_args(hint)[0])}"
  words = {
    int: "an integer",
    float: "a finite number",
    str: "a string",
    bool: "True or False",
    tuple: "a tuple",
    dict: "a section with fields",
    types.NoneType: "None",
  }
  return words[hint]


def plain(raw: Mapping[str, Any]) -> dict[str, Any]:
  """A ConfigDict (or nested mapping) as nested dicts."""
  return {
    key: plain(value)
    if isinstance(value, Mapping) or hasattr(value, "items")
    else value
    for key, value in raw.items()
  }


def to_json(raw: Mapping[str, Any]) -> dict[str, Any]:
  """The config as JSON knows it: tuples become lists."""
  return json.loads(json.dumps(plain(raw)))


def flatten(raw: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
  """{'train': {'steps': 3}} -> {'train.steps': 3}."""
  flat = {}
  for key, value in raw.items():
    if isinstance(value, Mapping):
      flat |= flatten(value, f"{prefix}{key}.")
    else:
      flat[prefix + key] = value
  return flat


def differences(
  saved: Mapping[str, Any], given: Mapping[str, Any]
) -> list[str]:
  """Fields in which two configs differ, except those that may change.

  A run with a constant learning rate may also be made longer or shorter. A
  config whose tokenizer or autoencoder has not been looked up says nothing of
  it.

  Returns:
    Sentences such as "train.seed is 1, was 0".
  """
  saved, given = flatten(to_json(saved)), flatten(to_json(given))
  free = set(RESUMABLE)
  if saved.get("optimizer.schedule") == "constant":
    free.add("train.steps")
  unread = list(AFTER_TRAINING)
  unread += [
    name for name in first_stage.KINDS if not given.get(f"{name}.hash")
  ]
  return [
    f"{name} is {given.get(name)!r}, was {saved.get(name)!r}"
    for name in sorted(saved.keys() | given.keys())
    if saved.get(name) != given.get(name)
    and name not in free
    and name.partition(".")[0] not in unread
  ]
