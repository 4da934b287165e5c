"""Flags that several commands have: which run, which checkpoint, whose data."""

from absl import flags

from pseudovideo import errors


def define(
  values: flags.FlagValues,
  step: str = "Take the checkpoint of this step; the newest if absent.",
) -> None:
  """Defines --workdir, --step and --data_dir, for commands about one run.

  Args:
    values: flags of the command.
    step: help of --step.
  """
  flags.DEFINE_string(
    "workdir", None, "Read or write the run in this folder.", flag_values=values
  )
  flags.DEFINE_integer("step", None, step, flag_values=values)
  define_data_dir(values)


def define_data_dir(values: flags.FlagValues) -> None:
  """Defines --data_dir, for commands that read data sets."""
  flags.DEFINE_string(
    "data_dir",
    None,
    "Read TFDS sets from this folder; $PSEUDOVIDEO_DATA_DIR if absent.",
    flag_values=values,
  )


def workdir(values: flags.FlagValues) -> str:
  """The folder that --workdir names.

  Raises:
    UserError: it was not given.
  """
  if not values.workdir:
    raise errors.UserError("Say where the run is, with --workdir=DIR.")
  return values.workdir
