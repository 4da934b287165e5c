"""The tokenizer that a config names, looked up before training starts."""

import copy
import os
from collections.abc import Mapping
from typing import Any

from pseudovideo import configuration, errors, runs, tasks, tokens

FIELD = "tokenizer"


def look_up(
  raw: Mapping[str, Any], *, data_dir: str | os.PathLike | None = None
) -> dict[str, Any]:
  """The config with what is known of its tokenizer.

  Args:
    raw: a config. Its section `tokenizer`, if it has one, names the run in
      `workdir`; `config` and `hash` are filled in from the newest checkpoint.
    data_dir: where TFDS sets are.

  Returns:
    A copy; without the section, the same.

  Raises:
    UserError: a mistake in the config; no run is named, there is none, or it
      is of another task.
  """
  raw = copy.deepcopy(configuration.plain(raw))
  if FIELD not in raw:
    return raw
  # Any other mistake is named before weights are read.
  configuration.parse(raw)
  workdir = raw[FIELD].get("workdir")
  if not workdir:
    raise errors.UserError(
      "Say whose tokens are to be learned, with --config.tokenizer.workdir=DIR "
      "of a run of configs/tokenizer.py."
    )
  check(runs.saved_config(workdir))
  run = runs.restore(workdir, data_dir=data_dir)
  raw[FIELD] |= {"hash": tokens.tokenizer_hash(run), "config": run.raw}
  return raw


def check(config: Mapping[str, Any]) -> None:
  """Refuses runs that are no tokenizers.

  Args:
    config: of a run, as it was saved.

  Raises:
    UserError: its task has no tokens.
  """
  name = config["task"]["name"]
  able = [n for n, t in tasks.TABLE.items() if hasattr(t, "encode")]
  if name not in able:
    raise errors.UserError(
      f"Only runs of the task {' or '.join(able)} have tokens; this is a run "
      f"of {name}."
    )
