"""Arguments with readable mistakes, and exit codes, for all commands.

`config.overriding` reads --config.FIELD=VALUE. Whatever knows configs or JAX is
imported late, so that --help does not wait for it.
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

from pseudovideo import errors
from pseudovideo.terminal import output

_KINDS = {
  flags.BooleanParser: "True or False",
  flags.FloatParser: "a number",
  flags.IntegerParser: "an integer",
}


def load_config(spec: str) -> Any:
  """The `Config` of `FILE.py` or `FILE.py:ARGUMENT`.

  Raises:
    UserError: see `parse`, for the argument --config=SPEC.
  """
  from pseudovideo.config import parsing

  return parsing.parse(_of_file(spec))


def _of_file(spec: str) -> Mapping[str, Any] | ml_collections.ConfigDict:
  """The config that a file returns, not checked.

  Raises:
    UserError: no such file, no `get_config` in it, a bad argument, or Python
      refuses to run it.
  """
  path, _, argument = spec.partition(":")
  if not pathlib.Path(path).is_file():
    raise errors.UserError(
      f"There is no config file {path!r}; config files, such as hvae.py, are "
      "in the folder configs of the repository, are not installed with the "
      "package, and can be copied alone."
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
  return config


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
  argv: Sequence[str],
  values: flags.FlagValues,
  saved: Callable[[], Mapping[str, Any]] | None = None,
) -> Any:
  """Parses the arguments into `values`; returns the `Config`, if one is given.

  Args:
    argv: arguments.
    values: flags of the command.
    saved: gives the config of a run that --config.FIELD=VALUE changes where
      there is no --config=FILE.py; called after the flags are parsed.

  Raises:
    UserError: anything that is unknown, or has a wrong type or value.
  """
  from pseudovideo.config import overriding

  argv = overriding.spelled_out(argv)
  specs = [a.partition("=")[2] for a in argv if a.startswith("--config=")]
  overrides = [a for a in argv if a.startswith(overriding.PREFIX)]
  if overrides and not specs and saved is None:
    raise errors.UserError(
      f"{overrides[0]} changes a config, but no --config=FILE.py was given."
    )
  of_config = ("--config=", overriding.PREFIX)
  rest = [a for a in argv if not a.startswith(of_config)]
  _read_flags(rest, values, ["config", *values])
  if specs:
    return overriding.parse(_of_file(specs[-1]), overrides)
  return overriding.parse(saved(), overrides) if overrides and saved else None


def _read_flags(
  argv: Sequence[str], values: flags.FlagValues, names: Sequence[str]
) -> None:
  """Parses arguments into `values`; `names` are all flags that there are."""
  try:
    left = values(["main", *argv])
  except flags.UnrecognizedFlagError as error:
    allowed = {f"--{name}" for name in names}
    raise errors.unknown("flag", f"--{error.flagname}", allowed) from None
  except flags.Error as error:
    raise _wrong_value(str(error), values) from None
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
  _read_flags(argv, values, [*values])


def _wrong_value(message: str, values: flags.FlagValues) -> errors.UserError:
  """The sentence for a value that does not fit its flag.

  Args:
    message: absl's message, such as "flag --step=x: invalid literal for int()".
    values: the flags.
  """
  found = re.match(r"flag --(\w+)=(.*?): ", message, re.DOTALL)
  if not found:
    return errors.UserError(f"{message.rstrip('.')}.")
  name, value = found.groups()
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
  """Log messages to the terminal; programs and freed memory are kept."""
  from pseudovideo.devices import heap, xla

  heap.keep_freed_memory()
  if not flags.FLAGS.is_parsed():
    # absl warns until its global flags are parsed; ours are not among them.
    flags.FLAGS(["pseudovideo"])
  # A library that logs while it is imported adds one, to an older stderr.
  for handler in list(std_logging.root.handlers):
    if type(handler) is std_logging.StreamHandler:
      std_logging.root.removeHandler(handler)
  logging.use_absl_handler()
  handler = logging.get_absl_handler()
  handler.setFormatter(std_logging.Formatter("%(message)s"))
  handler.python_handler.setStream(output.lenient(sys.stderr))
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
  """Runs a command with mistakes printed as sentences.

  All commands come through here or through `answer`: within it what is printed
  raises nothing, see `output`.
  """
  with output.forgiving():
    return _exit_code(command, argv)


def _exit_code(
  command: Callable[[Sequence[str]], int], argv: Sequence[str]
) -> int:
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
  return exit_code(
    lambda argv: 0 if asks_for_help(argv, doc, values) else command(argv), argv
  )
