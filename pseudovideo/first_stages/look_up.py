"""The tokenizer or autoencoder that a config names, looked up before training.

See `tasks.first_stage` for what becomes of it.
"""

import os
from typing import Any

from pseudovideo import errors, runs, tasks
from pseudovideo.config import parsing
from pseudovideo.first_stages import latents, tokens
from pseudovideo.tasks import base, first_stage

HASHES = {
  "tokenizer": tokens.tokenizer_hash,
  "autoencoder": latents.autoencoder_hash,
}


def look_up(
  config: parsing.Config, *, data_dir: str | os.PathLike | None = None
) -> parsing.Config:
  """The config, with the config and the hash of its first stage filled in.

  Args:
    config: its section `tokenizer` or `autoencoder`, if it has one, names the
      run in `workdir`; `config` and `hash` come from the newest checkpoint.
    data_dir: where TFDS sets are.

  Returns:
    A new config; without the section, the same one.

  Raises:
    UserError: no run is named, there is none, or it is of another task.
  """
  kind = first_stage.kind_of(config.task_fields)
  if kind is None:
    return config
  workdir = config.task_fields[kind.section].workdir
  if not workdir:
    raise errors.UserError(
      f"Name the run whose {kind.codes} are to be learned, with "
      f"--config.{kind.section}.workdir=DIR, a run of {kind.configs}."
    )
  try:
    saved = runs.saved_config(workdir)
  except errors.UserError as error:
    raise errors.UserError(
      f"{error} If the {kind.section} has moved, name its new place with "
      f"--config.{kind.section}.workdir=DIR."
    ) from error
  check(saved, kind)
  run = runs.restore(workdir, data_dir=data_dir)
  return config.replaced(
    kind.section, hash=hash_of(kind, run), config=run.config.raw
  )


def check(config: parsing.Config, kind: first_stage.Kind) -> None:
  """Refuses runs that are no first stages of a kind.

  Args:
    config: the saved config of a run.
    kind: the kind that is needed.

  Raises:
    UserError: its task has no such codes.
  """
  able = [n for n, t in tasks.TABLE.items() if base.can(t, kind.ability)]
  if config.task not in able:
    raise errors.UserError(
      f"Only runs of the task {' or '.join(able)} have {kind.codes}; this is a "
      f"run of {config.task}."
    )


def hash_of(kind: first_stage.Kind, run: Any) -> str:
  """SHA-256 of the weights of a first stage that encode and decode.

  Args:
    kind: tokenizer or autoencoder.
    run: its `runs.Run`, or a `first_stage.Trained`.
  """
  return HASHES[kind.section](run)
