"""Parses an `ml_collections` config into one checked `Config`.

A config file returns a ConfigDict with the sections

  data       the data set and how its pixels are made
  task       `name`, and the fields of that task's dataclass
  model      the fields of the task's network; a task may have more sections,
             `tasks.SECTIONS`, such as `augmentation` (its `name` and fields)
  optimizer  `optimizers.OptimizerConfig`
  train      `sections.TrainConfig`
  evaluate   `sections.EvaluateConfig`

Every section becomes a dataclass, so that an unknown field, a missing one or a
value outside its type is refused with one sentence before anything is compiled;
`pseudovideo.fields` reads the types. The JSON form of the config travels in the
checkpoint.
"""

import dataclasses
import json
import types
from collections.abc import Mapping
from typing import Any

from pseudovideo import data, errors, fields, optimizers, tasks
from pseudovideo.augmentations import identity
from pseudovideo.config import comparing, filling, sections
from pseudovideo.tasks import base, first_stage


@dataclasses.dataclass(frozen=True, eq=False)
class Config:
  """A whole config: all sections, checked, and their JSON form.

  Two configs are equal if their JSON is.

  Attributes:
    json: the whole config as JSON text, with every default written out.
    title: title of the run in logs and reports.
    data: section `data`.
    task: name of the task.
    task_fields: its fields that do not depend on the data.
    optimizer: section `optimizer`.
    train: section `train`.
    evaluate: section `evaluate`.
  """

  json: str
  title: str
  data: sections.DataConfig
  task: str
  task_fields: Mapping[str, Any]
  optimizer: optimizers.OptimizerConfig
  train: sections.TrainConfig
  evaluate: sections.EvaluateConfig

  def __eq__(self, other: object) -> bool:
    return isinstance(other, Config) and self.json == other.json

  def __hash__(self) -> int:
    return hash(self.json)

  @property
  def raw(self) -> dict[str, Any]:
    """A copy of the JSON form; for other values see `replaced`."""
    return json.loads(self.json)

  def replaced(self, section: str, **values: Any) -> "Config":
    """The config with other values in a section, checked again.

    Raises:
      UserError: there is no such section or field, or a value does not fit.
    """
    raw = self.raw
    names = raw.keys() - {"title"}
    if section not in names:
      raise errors.unknown("section of the config", section, names)
    raw[section] |= values
    return parse(raw)

  def resolved(self, image_shape: tuple[int, int, int]) -> "Config":
    """The config with the channels of the data, where it leaves them open."""
    field = base.channels_field(tasks.TABLE[self.task])
    if field is None or getattr(self.task_fields["model"], field) is not None:
      return self
    return self.replaced("model", **{field: image_shape[-1]})

  def make_task(self, image_shape: tuple[int, int, int]) -> Any:
    """The task for images of the given (H, W, C), checked.

    Raises:
      UserError: the images do not fit, or fields do not fit each other.
    """
    values = dict(self.resolved(image_shape).task_fields)
    kind = first_stage.kind_of(values)
    if kind is not None:
      coder = parse(kind.config(values[kind.section]))
      values["coder"] = coder.make_task(image_shape)
    task = tasks.TABLE[self.task](
      image_shape=image_shape, binarize=self.data.binarize, **values
    )
    base.check_abilities(task)
    task.check()
    return task


def parse(
  raw: Mapping[str, Any] | Config, changes: Mapping[str, Any] | None = None
) -> Config:
  """Checks names, types and ranges of all sections.

  Args:
    raw: the ConfigDict of a config file, its JSON form, or a `Config`.
    changes: field, such as `train.steps`, or `title` -> another value, or a
      function of the value that it has.

  Raises:
    UserError: the first mistake found, in one sentence.
  """
  changes = changes or {}
  if isinstance(raw, Config):
    if not changes:
      return raw
    raw = raw.raw
  filled = filling.switched(filling.fill(raw), changes)
  for path, value in changes.items():
    values, name, _ = filling.field_of(filled, path)
    value = value(values.get(name)) if callable(value) else value
    values[name] = comparing.plain(value)
  return checked(filled)


def complete(raw: Mapping[str, Any]) -> dict[str, Any]:
  """The config with every default written out, as plain dicts."""
  return filling.fill(raw).raw


def checked(filled: filling.Filled) -> Config:
  """Reads all fields as their types; refuses fields that do not go together.

  Raises:
    UserError: the first mistake found, in one sentence.
  """
  raw, schemas = filled
  built: dict[str, Any] = {}
  for section, (cls, left_out) in schemas.items():
    own = dict(raw[section])
    if section in filling.NAMED:
      del own["name"]
    built[section] = fields.read_section(cls, own, section, left_out)
  task_fields = built.pop("task")
  parts = {name: schemas[name].cls(**values) for name, values in built.items()}
  task_fields |= {n: parts.pop(n) for n in tasks.SECTIONS if n in parts}
  config = Config(
    json=json.dumps(raw),
    title=raw["title"],
    task=raw["task"]["name"],
    task_fields=types.MappingProxyType(task_fields),
    **parts,
  )
  _check_relations(config)
  return config


def _check_relations(config: Config) -> None:
  """Refuses fields that do not go together, as far as no data are needed."""
  config.train.check()
  config.evaluate.check()
  optimizers.make_schedule(config.optimizer, config.train.steps)
  frames = data.clip_frames(config.data.name)
  if frames:
    _check_clips(config, frames)
  chosen = config.task_fields.get("augmentation")
  if isinstance(chosen, identity.Identity) and chosen.frames != (frames or 1):
    raise errors.UserError(
      f"augmentation.frames must be {frames or 1} with the augmentation "
      f"'identity', the number of frames of {config.data.name!r}; got "
      f"{chosen.frames}."
    )


def _check_clips(config: Config, frames: int) -> None:
  """Refuses clips for tasks that learn from images, before any is decoded."""
  name = config.data.name
  able = [n for n, task in tasks.TABLE.items() if base.can(task, "clips")]
  if config.task not in able:
    raise errors.UserError(
      f"The data set {name!r} holds clips of videos, and the task "
      f"{config.task} learns from images; choose other data, or the task "
      f"{' or '.join(able)}."
    )
  if not isinstance(config.task_fields["augmentation"], identity.Identity):
    raise errors.UserError(
      f"The data set {name!r} holds clips, which no augmentation corrupts; set "
      f"augmentation.name='identity' and augmentation.frames={frames}."
    )
