"""The sections of a config with every default, and the classes they become.

Only names are checked here: `parsing` reads the values.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn

from pseudovideo import augmentations, errors, fields, optimizers, tasks
from pseudovideo.config import comparing, renamed, sections
from pseudovideo.models import quantizers
from pseudovideo.tasks import base

# Sections with a `name` that says which dataclass they are.
NAMED = {
  "task": tasks.TABLE,
  "augmentation": augmentations.TABLE,
  "quantizer": quantizers.TABLE,
}


class Schema(NamedTuple):
  """The class that a section becomes.

  Attributes:
    cls: a dataclass or Linen module.
    left_out: the class's fields that no config sets.
  """

  cls: type
  left_out: tuple[str, ...] = ()


class Filled(NamedTuple):
  """A config that is not checked yet.

  Attributes:
    raw: plain dicts, with every default written out.
    schemas: the classes of its sections by name.
  """

  raw: dict[str, Any]
  schemas: dict[str, Schema]


def fill(raw: Mapping[str, Any]) -> Filled:
  """Writes out every default.

  Any field can then be overridden on the command line, and a saved config does
  not depend on later defaults. Renamed fields get their present names. Channels
  that follow from the data are None.

  Raises:
    UserError: there is no such section or field.
  """
  raw = renamed.translated(comparing.plain(raw))
  schemas = schemas_of(raw)
  for section in raw:
    if section not in ("title", *schemas):
      raise errors.unknown("section of the config", section, schemas)
  open_field = base.channels_field(schemas["task"].cls)
  full: dict[str, Any] = {"title": raw.get("title", "run")}
  for section, (cls, left_out) in schemas.items():
    given, known = raw.get(section, {}), field_names(schemas, section)
    for name in given:
      if name not in known:
        raise unknown_field(schemas, section, name)
    defaults = {
      name: field.default
      for name, field in fields.named_fields(cls, left_out).items()
      if name in given or field.default is not dataclasses.MISSING
    }
    if section == "model" and open_field is not None:
      defaults[open_field] = None
    full[section] = defaults | given
  return Filled(full, schemas)


def switched(filled: Filled, changes: Mapping[str, Any]) -> Filled:
  """The config with other kinds of `task`, `augmentation` and so on.

  Fields that both kinds have keep their values if the new kind takes them; for
  networks, only if one of the two is a subclass of the other. All other fields
  get their defaults. The title says what was exchanged.

  Args:
    filled: a config.
    changes: field -> another value; only fields such as `task.name` are read.

  Raises:
    UserError: there is no such kind.
  """
  kinds = {n: changes[f"{n}.name"] for n in NAMED if f"{n}.name" in changes}
  if not kinds:
    return filled
  raw = dict(filled.raw)
  for section, name in kinds.items():
    before = raw.get(section, {}).get("name", name)
    raw[section] = raw.get(section, {}) | {"name": name}
    instead = f" instead of {before}" if before != name else ""
    raw["title"] += f", {section} {name}{instead}"
  schemas = schemas_of(raw)
  kept = {"title": raw["title"]}
  for section, schema in schemas.items():
    old = filled.schemas.get(section, schema)
    values = raw.get(section, {})
    if schema != old:
      values = _shared(values, section, old, schema)
    kept[section] = values
  found = fill(kept)
  model, video = (found.raw.get(n, {}) for n in ("model", "augmentation"))
  is_other = schemas.get("model") != filled.schemas.get("model")
  if is_other and "frames" in model and "frames" in video:
    model["frames"] = video["frames"]
  return found


def _shared(
  values: Mapping[str, Any], section: str, old: Schema, new: Schema
) -> dict[str, Any]:
  """The values of a section that its new class takes."""
  related = issubclass(old.cls, new.cls) or issubclass(new.cls, old.cls)
  if section == "model" and not related:
    return {}
  hints = fields.types_of(new.cls)
  names = fields.named_fields(new.cls, new.left_out)
  return {
    name: value
    for name, value in values.items()
    if (name in names and fields.fits(value, hints[name]))
    or (name == "name" and section in NAMED)
  }


def field_of(filled: Filled, path: str) -> tuple[dict[str, Any], str, Any]:
  """Finds a field by its path, such as `train.steps`, or the title.

  Returns:
    The values of its section, its name there, and its type.

  Raises:
    UserError: there is no such field.
  """
  raw, schemas = filled
  section, *names = path.split(".")
  if path == "title":
    return raw, path, str
  if section == "title" or len(names) > 1:
    raise errors.UserError(
      f"{errors.shown(path)} is no field of the config; write 'title', or a "
      "section and a field, such as 'train.steps'."
    )
  if section not in schemas:
    allowed = ("title", *schemas)
    raise errors.unknown("section of the config", section, allowed)
  known = field_names(schemas, section)
  if not names:
    raise errors.UserError(
      f"{section} is a section; set one of its fields: "
      f"{', '.join(sorted(known))}."
    )
  if names[0] not in known:
    raise unknown_field(schemas, section, names[0])
  of_kind = names[0] == "name" and section in NAMED
  hint = str if of_kind else fields.types_of(schemas[section].cls)[names[0]]
  return raw[section], names[0], hint


def unknown_field(
  schemas: Mapping[str, Schema], section: str, name: str
) -> errors.UserError:
  """The sentence for a field that a section does not have."""
  path = f"{section}.{name}"
  derived = base.declared(schemas["task"].cls, "derived")
  if section == "model" and name in derived:
    return errors.UserError(
      f"{path} follows from the rest of the config and cannot be set; leave it "
      "out."
    )
  if path in renamed.FIELDS:
    return errors.UserError(f"{path} is called {renamed.FIELDS[path]} now.")
  return errors.unknown(
    f"field of {section}", name, field_names(schemas, section)
  )


def field_names(schemas: Mapping[str, Schema], section: str) -> list[str]:
  """The fields of a section, the name of its kind among them."""
  names = list(fields.named_fields(*schemas[section]))
  return [*names, "name"] if section in NAMED else names


def schemas_of(raw: Mapping[str, Any]) -> dict[str, Schema]:
  """The classes that the sections of a config become, by name.

  Raises:
    UserError: a section is no mapping, or its `name` is unknown.
  """
  for section, given in raw.items():
    if section == "title":
      fields.read(given, str, section)
    elif not isinstance(given, dict):
      raise errors.UserError(
        f"{section} must be a section with fields; got {errors.shown(given)}."
      )
  task = _kind(raw, "task")
  hints = fields.types_of(task)
  own = [section for section in tasks.SECTIONS if section in hints]
  schemas = {
    "data": Schema(sections.DataConfig),
    "task": Schema(task, ("image_shape", "binarize", "coder", *own)),
  }
  for section in own:
    cls = _kind(raw, section) if section in NAMED else hints[section]
    derived = base.declared(task, "derived") if section == "model" else ()
    of_module = ("parent", "name") if issubclass(cls, nn.Module) else ()
    schemas[section] = Schema(cls, (*of_module, *derived))
  return schemas | {
    "optimizer": Schema(optimizers.OptimizerConfig),
    "train": Schema(sections.TrainConfig),
    "evaluate": Schema(sections.EvaluateConfig),
  }


def _kind(raw: Mapping[str, Any], section: str) -> type:
  """The class that the name in a section stands for."""
  table, name = NAMED[section], raw.get(section, {}).get("name")
  if name is None:
    owner = f"task {raw['task']['name']}" if section != "task" else "config"
    raise errors.UserError(
      f"The {owner} lacks {section}.name; set it to one of: "
      f"{', '.join(sorted(table))}."
    )
  return errors.look_up(section, str(name), table)
