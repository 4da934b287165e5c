"""Arguments with readable mistakes, and exit codes, for all commands.

--config=FILE.py:ARGUMENT and --config.FIELD=VALUE are read by
`ml_collections.config_flags`, whose tracebacks become sentences.
"""

import importlib.util
import logging as std_logging
import pathlib
import re
import signal
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ml_collections
from absl import flags, logging
from ml_collections import config_dict, config_flags

from pseudovideo import errors, fields
from pseudovideo.config import parsing, renamed
from pseudovideo.devices import xla

_PREFIX = "--config."
_KINDS = {
  flags.BooleanParser: "True or False",
  flags.FloatParser: "a number",
  flags.IntegerParser: "an integer",
}


def load_config(spec: str) -> parsing.Config:
  """The config of `FILE.py` or `FILE.py:ARGUMENT`.

  Raises:
    UserError: see `parse`, for the argument --config=SPEC.
  """
  return parsing.parse(_of_file(spec))


def _of_file(spec: str) -> dict[str, Any]:
  """Reads a config file; all defaults are written out.

  Raises:
    UserError: no such file, no `get_config` in it, a bad argument, or Python
      refuses to run it.
  """
  path, _, argument = spec.partition(":")
  if not pathlib.Path(path).is_file():
    raise errors.UserError(
      f"There is no config file {path!r}; try --config=configs/hvae.py."
    )
  module_spec = importlib.util.spec_from_file_location("config_file", path)
  if module_spec is None or module_spec.loader is None:
    raise errors.UserError(f"{path!r} is not a Python file.")
  module = importlib.util.module_from_spec(module_spec)
  try:
    module_spec.loader.exec_module(module)
    if "get_config" not in vars(module):
      raise errors.UserError(f"{path} defines no function get_config.")
    config = module.get_config(argument)
  except errors.UserError:
    raise
  except Exception as error:  # A config file may raise anything.
    raise _broken(path, str(module_spec.origin), error) from error
  if not isinstance(config, Mapping | ml_collections.ConfigDict):
    raise errors.UserError(
      f"get_config of {path} must return a ConfigDict; it returned "
      f"{errors.shown(config)}."
    )
  return parsing.complete(config)


def _broken(path: str, file: str, error: Exception) -> errors.UserError:
  """The sentence for a config file that raised `error`.

  Args:
    path: the path that was given.
    file: its name in tracebacks.
    error: a syntax error names its line itself.
  """
  lines = [
    frame.lineno
    for frame in traceback.extract_tb(error.__traceback__)
    if frame.filename == file
  ]
  where = f" at line {lines[-1]}" if lines else ""
  return errors.UserError(
    f"The config file {path} does not run: {type(error).__name__}{where}: "
    f"{str(error).rstrip('.')}."
  )


def parse(
  argv: Sequence[str], values: flags.FlagValues
) -> parsing.Config | None:
  """Parses the arguments into `values`; returns the config, if one is given.

  Raises:
    UserError: anything that is unknown, or has a wrong type or value.
  """
  argv = _joined(argv)
  specs = [a.partition("=")[2] for a in argv if a.startswith("--config=")]
  rest = [a for a in argv if not a.startswith("--config=")]
  overrides = [a for a in rest if a.startswith(_PREFIX)]
  if overrides and not specs:
    raise errors.UserError(
      f"{overrides[0]} changes a config, but no --config=FILE.py was given."
    )
  config = None
  if specs:
    config, left = _overridden(_of_file(specs[-1]), overrides)
    rest = [a for a in rest if a not in overrides or a in left]
  _read_flags(rest, values, config, ["config", *values])
  return None if config is None else parsing.parse(config)


def _read_flags(
  argv: Sequence[str],
  values: flags.FlagValues,
  config: ml_collections.ConfigDict | None,
  names: Sequence[str],
) -> None:
  """Parses arguments into `values` and `config`; `names` are all there are."""
  try:
    if config is not None:
      config_flags.DEFINE_config_dict(
        "config", config, flag_values=values, sys_argv=["main", *argv]
      )
    left = values(["main", *argv])
  except flags.UnrecognizedFlagError as error:
    allowed = {f"--{name}" for name in names}
    raise errors.unknown("flag", f"--{error.flagname}", allowed) from None
  except (flags.Error, TypeError, ValueError) as error:
    raise _wrong_value(str(error), values, config) from None
  if len(left) > 1:
    raise errors.UserError(
      f"{errors.shown(left[1])} is not a flag; flags look like --workdir=DIR."
    )


def parse_flags(
  argv: Sequence[str],
  values: flags.FlagValues,
  why: str = "This command takes no config",
) -> None:
  """Parses the arguments of a command without a config into `values`.

  Args:
    argv: arguments.
    values: flags of the command.
    why: beginning of the sentence where a config is given.

  Raises:
    UserError: a config, or anything that is unknown or has a wrong type.
  """
  if any(a.startswith(("--config", "-config")) for a in argv):
    raise errors.UserError(f"{why}; leave --config out.")
  _read_flags(argv, values, None, [*values])


def _overridden(
  raw: dict[str, Any], overrides: Sequence[str]
) -> tuple[ml_collections.ConfigDict, list[str]]:
  """The config that overrides are read into, and those still to be read.

  Another kind of augmentation, say, brings its own fields, which other
  overrides may set. None is read here, since flags know no such value.
  """
  kinds = {
    section: override.partition("=")[2]
    for section in parsing.NAMED
    for override in overrides
    if override.startswith(f"{_PREFIX}{section}.name=")
  }
  if kinds:
    raw = parsing.switched(raw, kinds)
  optional = parsing.optional_fields(raw)
  left: list[str] = []
  for override in overrides:
    name, _, value = override.removeprefix(_PREFIX).partition("=")
    path = tuple(name.split("."))
    if value == "None" and path in optional:
      raw[path[0]][path[1]] = None
      left = [o for o in left if not o.startswith(f"{_PREFIX}{name}=")]
    else:
      left.append(override)
  config = ml_collections.ConfigDict(raw)
  for (section, name), kind in optional.items():
    if config[section][name] is None:
      config[section][name] = config_dict.placeholder(kind)
  for override in left:
    _check_override(override, config)
  return config, left


def _joined(argv: Sequence[str]) -> list[str]:
  """`--config FILE` and `-config=FILE` as `--config=FILE`."""
  joined, pending = [], None
  for arg in argv:
    if arg.startswith("-config"):
      arg = f"-{arg}"
    if pending is not None:
      if arg.startswith("--"):
        break
      joined.append(f"{pending}={arg}")
      pending = None
    elif arg == "--config" or (arg.startswith(_PREFIX) and "=" not in arg):
      pending = arg
    else:
      joined.append(arg)
  if pending is not None:
    raise errors.UserError(f"{pending} needs a value, as in {pending}=VALUE.")
  return joined


def _field(override: str, config: ml_collections.ConfigDict):
  """The names of `--config.a.b=value`, and the present value of a.b."""
  names = override[len(_PREFIX) :].partition("=")[0].split(".")
  node = config
  for i, name in enumerate(names):
    parent = ".".join(names[:i]) or "the config"
    if not isinstance(node, ml_collections.ConfigDict):
      raise errors.UserError(
        f"{parent} is a value, {errors.shown(node)}, and has no field "
        f"{errors.shown(name)}."
      )
    if name not in node:
      parsing.refuse_derived(config, parent, [name])
      if new := renamed.FIELDS.get(f"{parent}.{name}"):
        raise errors.UserError(f"{parent}.{name} is called {new} now.")
      raise errors.unknown(f"field of {parent}", name, node)
    node = node[name]
  return names, node


def _check_override(override: str, config: ml_collections.ConfigDict) -> None:
  names, node = _field(override, config)
  if isinstance(node, ml_collections.ConfigDict):
    raise errors.UserError(
      f"{'.'.join(names)} is a section; set one of its fields: "
      f"{', '.join(sorted(node))}."
    )


def _wrong_value(
  message: str,
  values: flags.FlagValues,
  config: ml_collections.ConfigDict | None,
) -> errors.UserError:
  """The sentence for a value that does not fit its field or flag.

  Args:
    message: absl's message, such as "flag --step=x: invalid literal for int()".
    values: the flags.
    config: None if there is none.
  """
  found = re.match(r"flag --([\w.]+)=(.*?): ", message, re.DOTALL)
  if not found:
    return errors.UserError(f"{message.rstrip('.')}.")
  name, value = found.groups()
  if name.startswith("config."):
    names, node = _field(f"--{name}", config)
    hint = parsing.hint_of(config, names)
    like = "" if node is None else f", like {errors.shown(node)}"
    return errors.UserError(
      f"{'.'.join(names)} must be {fields.spoken(hint)}{like}; got "
      f"{errors.shown(value)}."
    )
  parser = values[name].parser
  if isinstance(parser, flags.EnumParser):
    return errors.unknown(f"--{name}", value, parser.enum_values)
  kind = _KINDS[type(parser)]
  return errors.UserError(
    f"--{name} must be {kind}; got {errors.shown(value)}."
  )


def asks_for_help(
  argv: Sequence[str], doc: str, values: flags.FlagValues
) -> bool:
  """Prints the help if the arguments ask for it; returns whether they do."""
  if not {"--help", "-help", "-h"} & set(argv):
    return False
  print(f"{doc}\n{_flags_help(values)}")
  return True


def _flags_help(values: flags.FlagValues) -> str:
  """A line for every flag, in the order of their names."""
  width = max(map(len, values), default=0)
  lines = []
  for name in sorted(values):
    flag = values[name]
    given = flag.default not in (None, "") and flag.default is not False
    default = f" Default: {flag.default}." if given else ""
    lines.append(f"  --{name:<{width}}  {flag.help}{default}")
  return "\n".join(lines)


def set_up() -> None:
  """Log messages to the terminal, compiled programs kept on disk."""
  if not flags.FLAGS.is_parsed():
    # absl warns until its global flags are parsed; ours are not among them.
    flags.FLAGS(["pseudovideo"])
  logging.use_absl_handler()
  logging.get_absl_handler().setFormatter(std_logging.Formatter("%(message)s"))
  logging.set_verbosity(logging.INFO)
  # It reports every accelerator that is not there.
  std_logging.getLogger("jax").setLevel(std_logging.WARNING)
  xla.enable_cache()


def stop_sentence(outcome: Any) -> str:
  """The sentence after a signal; `outcome` is a `training.loop.Outcome`."""
  return (
    f"Stopped by {outcome.stopped_by.name} at step {outcome.step}, which is "
    "saved; the same command resumes from there."
  )


def exit_code(
  command: Callable[[Sequence[str]], int], argv: Sequence[str]
) -> int:
  """Runs a command with mistakes printed as sentences."""
  try:
    return command(argv)
  except errors.UserError as error:
    print(f"Error: {error}", file=sys.stderr)
    return 2
  except errors.RunError as error:
    print(f"Error: {error}", file=sys.stderr)
    return 1
  except OSError as error:
    print(
      f"Error: {error.filename or 'A file'} cannot be written or read "
      f"({error.strerror or error}); choose another folder.",
      file=sys.stderr,
    )
    return 1
  except KeyboardInterrupt:
    print("\nInterrupted; the same command resumes from what is saved.")
    return 128 + signal.SIGINT


def answer(
  command: Callable[[Sequence[str]], int],
  argv: Sequence[str],
  doc: str,
  values: flags.FlagValues,
) -> int:
  """Runs a command, or prints its help; returns the exit code."""
  if asks_for_help(argv, doc, values):
    return 0
  return exit_code(command, argv)
