"""The lock of a run's folder: one process trains in it at a time."""

import contextlib
import os
import pathlib
from collections.abc import Iterator

import jax

from pseudovideo import errors
from pseudovideo.devices import distributed
from pseudovideo.files import locks

LOCK_FILE = "lock"


@contextlib.contextmanager
def own(workdir: str | os.PathLike) -> Iterator[None]:
  """Holds the lock of a run's folder while the context lasts.

  Of several processes that train together the first holds it; all must call it.
  Reading the folder needs no lock.

  Raises:
    UserError: another process holds it, with its name; or the folder cannot be
      written.
  """
  path = pathlib.Path(workdir, LOCK_FILE)
  with contextlib.ExitStack() as stack:
    mine = True
    if jax.process_index() == 0:
      try:
        mine = stack.enter_context(locks.hold(path))
      except OSError as error:
        raise errors.UserError(
          f"{path} cannot be written ({error.strerror}); choose another "
          "workdir."
        ) from error
    if not distributed.first_says(mine):
      raise errors.UserError(
        f"{locks.holder(path) or 'Another process'} works in {workdir}; "
        "wait for it, stop it, or give another --workdir."
      )
    yield
