"""From an `ml_collections` config to one checked `Config`.

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
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import flax.linen as nn

from pseudovideo import augmentations, data, errors, fields, optimizers, tasks
from pseudovideo.augmentations import identity
from pseudovideo.config import comparing, renamed, sections
from pseudovideo.models import quantizers
from pseudovideo.tasks import base, first_stage

# Sections with a `name` that says which dataclass they are.
NAMED = {
  "task": tasks.TABLE,
  "augmentation": augmentations.TABLE,
  "quantizer": quantizers.TABLE,
}


@dataclasses.dataclass(frozen=True)
class Config:
  """A whole config: all sections, checked, and their JSON form.

  Attributes:
    raw: the whole config as JSON, with every default written out; not to be
      changed, see `replaced`.
    title: what the run is called in logs and reports.
    data: section `data`.
    task: name of the task.
    task_fields: its fields that do not depend on the data.
    optimizer: section `optimizer`.
    train: section `train`.
    evaluate: section `evaluate`.
  """

  raw: dict[str, Any]
  title: str
  data: sections.DataConfig
  task: str
  task_fields: dict[str, Any]
  optimizer: optimizers.OptimizerConfig
  train: sections.TrainConfig
  evaluate: sections.EvaluateConfig

  def replaced(self, section: str, **values: Any) -> "Config":
    """The config with other values in a section, checked again."""
    return parse(self.raw | {section: self.raw[section] | values})

  def resolved(self, image_shape: tuple[int, int, int]) -> "Config":
    """The config with the channels of the data, where it leaves them open."""
    field = base.channels_field(tasks.TABLE[self.task])
    if field is None or self.raw["model"].get(field) is not None:
      return self
    return self.replaced("model", **{field: image_shape[-1]})

  def make_task(self, image_shape: tuple[int, int, int]) -> Any:
    """The task for images of the given (H, W, C), checked.

    Raises:
      UserError: they do not fit, or fields do not fit each other.
    """
    resolved = self.resolved(image_shape)
    if resolved is not self:
      return resolved.make_task(image_shape)
    given = dict(image_shape=image_shape, binarize=self.data.binarize)
    kind = first_stage.kind_of(self.task_fields)
    if kind is not None:
      coder = parse(kind.config(self.task_fields[kind.section]))
      given["coder"] = coder.make_task(image_shape)
    task = tasks.TABLE[self.task](**given, **self.task_fields)
    base.check_abilities(task)
    task.check()
    return task


class Schema(NamedTuple):
  """The class that a section becomes.

  Attributes:
    cls: a dataclass or Linen module.
    left_out: its fields that no config sets.
  """

  cls: type
  left_out: tuple[str, ...] = ()


def parse(raw: Mapping[str, Any] | Config) -> Config:
  """Checks names, types and ranges of all sections.

  Args:
    raw: the ConfigDict of a config file, or its JSON form. A `Config` is
      returned as it is.

  Raises:
    UserError: the first mistake found, in one sentence.
  """
  if isinstance(raw, Config):
    return raw
  raw = complete(raw)
  schemas = schemas_of(raw)
  for section in raw:
    if section not in ("title", *schemas):
      raise errors.unknown("section of the config", section, schemas)
  built = {
    section: fields.read_section(
      schema.cls, _own(section, raw[section]), section, schema.left_out
    )
    for section, schema in schemas.items()
  }
  task_fields = built.pop("task")
  parts: dict[str, Any] = {
    name: schemas[name].cls(**values) for name, values in built.items()
  }
  for section in set(parts) & set(tasks.SECTIONS):
    task_fields[section] = parts.pop(section)
  config = Config(
    raw=comparing.to_json(raw),
    title=raw["title"],
    task=raw["task"]["name"],
    task_fields=task_fields,
    **parts,
  )
  _check_relations(config)
  return config


def _check_relations(config: Config) -> None:
  """Refuses what does not go together, as far as no data are needed."""
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
      f"'identity', since the examples of {config.data.name!r} have as many; "
      f"got {chosen.frames}."
    )


def _check_clips(config: Config, frames: int) -> None:
  """Refuses clips where images are learned from, before any is decoded."""
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


def complete(raw: Mapping[str, Any]) -> dict[str, Any]:
  """The config with every default written out, as plain dicts.

  So that any field can be overridden on the command line, and a saved config
  does not depend on later defaults. Fields have their names of today.

  Raises:
    UserError: a section that is none, or a name that there is not.
  """
  raw = renamed.translated(comparing.plain(raw))
  full = {"title": raw.get("title", "run")}
  for section, (cls, left_out) in schemas_of(raw).items():
    defaults = {
      name: field.default
      for name, field in fields.named_fields(cls, left_out).items()
      if field.default is not dataclasses.MISSING
    }
    full[section] = defaults | raw.get(section, {})
  return full | {name: raw[name] for name in raw if name not in full}


def switched(
  raw: Mapping[str, Any], kinds: Mapping[str, str]
) -> dict[str, Any]:
  """The complete config with other kinds of `task`, `augmentation` and so on.

  Args:
    raw: a complete config.
    kinds: section of `NAMED` -> name of the new kind.

  Returns:
    Fields that both kinds have keep their values if the new one takes them;
    others have their defaults. Sections that the new task does not have are
    left out, and the title says what was exchanged.

  Raises:
    UserError: there is no such kind.
  """
  changed = dict(raw)
  for section, name in kinds.items():
    cls = errors.look_up(section, name, NAMED[section])
    changed[section] = _shared(raw.get(section, {}), cls) | {"name": name}
    changed["title"] += f", {section} {name}"
  if "task" in kinds:
    for part, cls in fields.types_of(NAMED["task"][kinds["task"]]).items():
      if part in changed and part in tasks.SECTIONS and part not in NAMED:
        changed[part] = _shared(changed[part], cls, _derived(changed, part))
  allowed = ("title", *schemas_of(changed))
  return complete({n: v for n, v in changed.items() if n in allowed})


def _shared(
  values: Mapping[str, Any], cls: type, left_out: tuple[str, ...] = ()
) -> dict[str, Any]:
  """The values that fit the fields of another class."""
  hints = fields.types_of(cls)
  return {
    name: values[name]
    for name in fields.named_fields(cls, left_out)
    if name in values and fields.fits(values[name], hints[name])
  }


def optional_fields(raw: Mapping[str, Any]) -> dict[tuple[str, str], type]:
  """(section, field) -> the type of a value, of all fields that may be None."""
  return {
    (section, name): kind
    for section, (cls, left_out) in schemas_of(raw).items()
    for name in fields.named_fields(cls, left_out)
    if (kind := fields.optional_type(fields.types_of(cls)[name])) is not None
  }


def hint_of(raw: Any, path: Sequence[str]) -> Any:
  """The type of a field, such as `("train", "steps")`.

  Args:
    raw: a ConfigDict, or plain dicts.
    path: names of the section and the field; that of the title has one.
  """
  if len(path) == 1 or (path[1] == "name" and path[0] in NAMED):
    return str
  schema = schemas_of(comparing.plain(raw))[path[0]]
  return fields.types_of(schema.cls)[path[1]]


def schemas_of(raw: Mapping[str, Any]) -> dict[str, Schema]:
  """The classes that the sections of a config become, by name.

  Raises:
    UserError: a section is none, or names nothing that there is.
  """
  for section, given in raw.items():
    if section == "title":
      fields.read(given, str, section)
    elif not isinstance(given, dict):
      raise errors.UserError(
        f"{section} must be a section with fields; got {errors.shown(given)}."
      )
  name = raw.get("task", {}).get("name")
  task = errors.look_up("task", str(name), tasks.TABLE)
  hints = fields.types_of(task)
  own = [section for section in tasks.SECTIONS if section in hints]
  return {
    "data": Schema(sections.DataConfig),
    "task": Schema(task, ("image_shape", "binarize", "coder", *own)),
    **{section: _schema(raw, section, hints[section]) for section in own},
    "optimizer": Schema(optimizers.OptimizerConfig),
    "train": Schema(sections.TrainConfig),
    "evaluate": Schema(sections.EvaluateConfig),
  }


def _schema(raw: Mapping[str, Any], section: str, cls: type) -> Schema:
  """The class of a section of the task; `cls` if the section has no kinds."""
  if section in NAMED:
    kind = raw.get(section, {}).get("name")
    if kind is None:
      raise errors.UserError(
        f"The config lacks {section}.name, which task.name="
        f"{raw['task']['name']!r} needs."
      )
    cls = errors.look_up(section, str(kind), NAMED[section])
  refuse_derived(raw, section, raw.get(section, {}))
  of_module = ("parent", "name") if issubclass(cls, nn.Module) else ()
  return Schema(cls, (*of_module, *_derived(raw, section)))


def _own(section: str, values: Mapping[str, Any]) -> dict[str, Any]:
  """The fields of a section without the name of its kind."""
  return {
    n: v for n, v in values.items() if n != "name" or section not in NAMED
  }


def _derived(raw: Mapping[str, Any], section: str) -> tuple[str, ...]:
  """Fields of a section that follow from the tokenizer."""
  task = tasks.TABLE[raw["task"]["name"]]
  return getattr(task, "derived", ()) if section == "model" else ()


def refuse_derived(
  raw: Mapping[str, Any], section: str, names: Iterable[str]
) -> None:
  """Refuses fields that follow from the tokenizer.

  Args:
    raw: a config; its task is known.
    section: name of a section.
    names: fields that are to be set there.

  Raises:
    UserError: names the first of them.
  """
  derived = _derived(raw, section)
  for name in names:
    if name in derived:
      raise errors.UserError(
        f"{section}.{name} follows from the tokenizer and cannot be set; leave "
        "it out."
      )
