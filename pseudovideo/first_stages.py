"""The tokenizer or autoencoder that a config names, looked up before training.

See `tasks.first_stage` for what becomes of it.
"""

import copy
import os
from collections.abc import Mapping
from typing import Any

from pseudovideo import configuration, errors, runs, tasks
from pseudovideo.tasks import first_stage


def look_up(
  raw: Mapping[str, Any], *, data_dir: str | os.PathLike | None = None
) -> dict[str, Any]:
  """The config with what is known of its first stage.

  Args:
    raw: a config. Its section `tokenizer` or `autoencoder`, if it has one,
      names the run in `workdir`; `config` and `hash` are filled in from the
      newest checkpoint.
    data_dir: where TFDS sets are.

  Returns:
    A copy; without the section, the same.

  Raises:
    UserError: a mistake in the config; no run is named, there is none, or it
      is of another task.
  """
  raw = copy.deepcopy(configuration.plain(raw))
  kind = first_stage.kind_of(raw)
  if kind is None:
    return raw
  # Any other mistake is named before weights are read.
  configuration.parse(raw)
  source = raw[kind.section]
  workdir = source.get("workdir")
  if not workdir:
    raise errors.UserError(
      f"Say whose {kind.codes} are to be learned, with "
      f"--config.{kind.section}.workdir=DIR of a run of {kind.configs}."
    )
  check(runs.saved_config(workdir), kind)
  run = runs.restore(workdir, data_dir=data_dir)
  source |= {"hash": kind.hash(run), "config": run.raw}
  return raw


def check(config: Mapping[str, Any], kind: first_stage.Kind) -> None:
  """Refuses runs that are no first stages of a kind.

  Args:
    config: of a run, as it was saved.
    kind: what it should be.

  Raises:
    UserError: its task has no such codes.
  """
  name = config["task"]["name"]
  able = [n for n, t in tasks.TABLE.items() if hasattr(t, kind.method)]
  if name not in able:
    raise errors.UserError(
      f"Only runs of the task {' or '.join(able)} have {kind.codes}; this is a "
      f"run of {name}."
    )
