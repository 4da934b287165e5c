"""Changes of a config on the command line, `--config.FIELD=VALUE`.

Texts are read as `ml_collections.config_flags` reads them.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import ml_collections
from absl import flags
from ml_collections import config_dict, config_flags

from pseudovideo import errors, fields
from pseudovideo.config import filling, parsing

PREFIX = "--config."


def spelled_out(argv: Sequence[str]) -> list[str]:
  """The arguments, with every field of the config as `--config...=VALUE`.

  In `argv` a value may also be the next argument, one dash may stand for two,
  and `--noconfig.FIELD` for `--config.FIELD=False`.

  Raises:
    UserError: a value is missing, or is given to `--noconfig`.
  """
  left, found = list(argv), []
  while left:
    argument = left.pop(0)
    match = re.fullmatch(
      r"--?(no)?(config(\.[^=]*)?)(=.*)?", argument, re.DOTALL
    )
    if not match or (match[1] and not match[3]):
      found.append(argument)
      continue
    name, value = f"--{match[2]}", match[4]
    if match[1] and value:
      raise errors.UserError(
        f"{argument.partition('=')[0]} takes no value; write {name}{value}."
      )
    if match[1]:
      value = "=False"
    elif value is None:
      if not left or left[0].startswith("--"):
        raise errors.UserError(f"{name} needs a value, as in {name}=VALUE.")
      value = f"={left.pop(0)}"
    found.append(name + value)
  return found


def parse(
  raw: Mapping[str, Any] | ml_collections.ConfigDict, overrides: Sequence[str]
) -> parsing.Config:
  """The config of a file with some fields changed.

  An override may choose another kind of augmentation, for instance; others may
  then set the fields of the new kind.

  Args:
    raw: what `get_config` returns.
    overrides: `--config.FIELD=VALUE`, of which the last one of a field wins.

  Raises:
    UserError: an unknown field, or a value that does not fit.
  """
  pairs = [o.removeprefix(PREFIX).partition("=")[::2] for o in overrides]
  filled = filling.switched(filling.fill(raw), dict(pairs))
  for path, text in pairs:
    values, name, hint = filling.field_of(filled, path)
    values[name] = _value(text, values.get(name), hint, path)
  return parsing.checked(filled)


def _value(text: str, present: Any, hint: Any, path: str) -> Any:
  """The value of a text, in the type of the present value.

  Flags know no None; it is read here.
  """
  if text == "None" and (fields.allows_none(hint) or hint is str):
    return fields.read(None, hint, path)
  if present is None:
    present = config_dict.placeholder(fields.plain_type(hint))
  values, config = flags.FlagValues(), ml_collections.ConfigDict()
  config.value = present
  argv = ["main", f"{PREFIX}value={text}"]
  try:
    config_flags.DEFINE_config_dict(
      "config", config, flag_values=values, sys_argv=argv
    )
    values(argv)
  except (flags.Error, TypeError, ValueError):
    like = f", like {errors.shown(config.value)}" if config.value else ""
    raise errors.UserError(
      f"{path} must be {fields.spoken(hint)}{like}; got {errors.shown(text)}."
    ) from None
  return config.value
