"""What all commands share: arguments with readable mistakes, exit codes.

--config=FILE.py:ARGUMENT and --config.FIELD=VALUE are read by
`ml_collections.config_flags`, whose tracebacks become sentences.
"""

import importlib.util
import logging as std_logging
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

import ml_collections
from absl import flags, logging
from ml_collections import config_flags

from pseudovideo import compilation, configuration, errors

_PREFIX = "--config."


def load_config(spec: str) -> ml_collections.ConfigDict:
  """The config of `FILE.py` or `FILE.py:ARGUMENT`, all defaults written out.

  Raises:
    UserError: no such file, no `get_config` in it, or a bad argument.
  """
  path, _, argument = spec.partition(":")
  if not pathlib.Path(path).is_file():
    raise errors.UserError(
      f"There is no config file {path!r}; try --config=configs/hvae.py."
    )
  module_spec = importlib.util.spec_from_file_location("config_file", path)
  if module_spec is None:
    raise errors.UserError(f"{path!r} is not a Python file.")
  module = importlib.util.module_from_spec(module_spec)
  module_spec.loader.exec_module(module)
  if not hasattr(module, "get_config"):
    raise errors.UserError(f"{path} defines no function get_config.")
  config = module.get_config(argument)
  return ml_collections.ConfigDict(configuration.complete(config))


def parse(
  argv: Sequence[str], values: flags.FlagValues
) -> ml_collections.ConfigDict | None:
  """Parses the arguments into `values`; returns the config, if one is given.

  Raises:
    UserError: anything that is unknown or has a wrong type.
  """
  argv = _joined(argv)
  specs = [a.partition("=")[2] for a in argv if a.startswith("--config=")]
  rest = [a for a in argv if not a.startswith("--config=")]
  config = load_config(specs[-1]) if specs else None
  overrides = [a for a in rest if a.startswith(_PREFIX)]
  if overrides and config is None:
    raise errors.UserError(
      f"{overrides[0]} changes a config, but no --config=FILE.py was given."
    )
  for override in overrides:
    _check_override(override, config)
  if config is not None:
    config_flags.DEFINE_config_dict(
      "config", config, flag_values=values, sys_argv=["main", *rest]
    )
  try:
    left = values(["main", *rest])
  except flags.UnrecognizedFlagError as error:
    allowed = {f"--{name}" for name in [*values, "config"]}
    raise errors.unknown("flag", f"--{error.flagname}", allowed) from None
  except (flags.Error, TypeError, ValueError) as error:
    raise _wrong_type(str(error), overrides, config) from None
  if len(left) > 1:
    raise errors.UserError(
      f"{left[1]!r} is not a flag; flags look like --workdir=DIR."
    )
  return config


def _joined(argv: Sequence[str]) -> list[str]:
  """`--config FILE` as `--config=FILE`."""
  joined, pending = [], None
  for arg in argv:
    if pending is not None:
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
    if not isinstance(node, ml_collections.ConfigDict) or name not in node:
      parent = ".".join(names[:i]) or "the config"
      allowed = node if isinstance(node, ml_collections.ConfigDict) else ()
      raise errors.unknown(f"field of {parent}", name, allowed)
    node = node[name]
  return names, node


def _check_override(override: str, config: ml_collections.ConfigDict) -> None:
  names, node = _field(override, config)
  if isinstance(node, ml_collections.ConfigDict):
    raise errors.UserError(
      f"{'.'.join(names)} is a section; set one of its fields: "
      f"{', '.join(sorted(node))}."
    )


def _wrong_type(message, overrides, config) -> errors.UserError:
  """The sentence for a value that does not fit its field."""
  for override in overrides:
    flag, _, value = override.partition("=")
    if flag in message:
      names, node = _field(override, config)
      return errors.UserError(
        f"{'.'.join(names)} must be {configuration.spoken(type(node))}, like "
        f"{node!r}; got {value!r}."
      )
  return errors.UserError(f"{message.rstrip('.')}.")


def set_up() -> None:
  """Log messages to the terminal, compiled programs kept on disk."""
  logging.use_absl_handler()
  logging.set_verbosity(logging.INFO)
  # It reports every accelerator that is not there.
  std_logging.getLogger("jax").setLevel(std_logging.WARNING)
  compilation.enable_cache()


def stop_sentence(outcome: Any) -> str:
  """What is said after a signal; `outcome` is a `train.Outcome`."""
  return (
    f"Stopped by {outcome.stopped_by.name} at step {outcome.step}, which is "
    "saved; the same command goes on from there."
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
