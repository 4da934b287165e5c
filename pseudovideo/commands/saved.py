"""The config of the run that --workdir names, for flags that change it."""

from typing import Any

from absl import flags

from pseudovideo.terminal import run_flags


def config(values: flags.FlagValues) -> dict[str, Any]:
  """Reads the config that the newest checkpoint in --workdir was saved with.

  Args:
    values: parsed flags, with --workdir.

  Raises:
    UserError: --workdir is absent, or has no checkpoint.
  """
  # Imported late, so that a mistake in the arguments is answered at once.
  from pseudovideo import runs

  return runs.saved_config(run_flags.workdir(values)).raw
