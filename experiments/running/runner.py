"""Runs the rows of a table, several processes side by side if need be.

A row that is done is left alone, one that was interrupted resumes from its
checkpoint. A row that another process works on is passed over, and looked at
again when the others are done.
"""

import pathlib
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from experiments.reporting import tables
from experiments.rows.base import Job, with_sources
from experiments.running import work
from pseudovideo import errors
from pseudovideo.files import locks
from pseudovideo.runs import owning, results

POLL_SECONDS = 5.0


def overview(jobs: Sequence[Job], root: str | pathlib.Path) -> str:
  """The state of all runs, and of those that they need.

  Raises:
    UserError: a folder holds a run with another config.
  """
  plan = with_sources(jobs)
  for job in plan:
    work.check(job, root)
  return tables.as_text(
    ["row", "seed", "state"],
    [[job.row.name, str(job.seed), _state(job, root)] for job in plan],
  )


def _state(job: Job, root: str | pathlib.Path) -> str:
  holder = locks.holder(job.workdir(root) / owning.LOCK_FILE)
  words = work.describe(job, root)
  return f"{words} ({holder} works on it)" if holder else words


def run(
  jobs: Sequence[Job],
  root: str | pathlib.Path,
  *,
  data_dir: str | None = None,
  publish: Callable[[Job, dict[str, Any]], None] | None = None,
) -> int:
  """Finishes all runs, and those that they need; returns the exit code.

  Args:
    jobs: runs in the order in which they are wanted.
    root: folder of all runs.
    data_dir: folder of TFDS data sets.
    publish: called with every finished run and its results.

  Raises:
    UserError: a folder holds a run with another config; nothing is trained.
    Stopped: a signal came during training.
  """
  plan = with_sources(jobs)
  for job in plan:
    work.check(job, root)
  progress = _Progress(plan, root, data_dir)
  pending = plan
  while pending:
    left = []
    for job in pending:
      record = progress.attempt(job)
      if record is None:
        left.append(job)
      elif publish is not None:
        publish(job, record)
    left = [job for job in left if job.name not in progress.failed]
    if len(left) == len(pending):
      time.sleep(POLL_SECONDS)
    pending = left
  if progress.failed:
    names = ", ".join(sorted(progress.failed))
    print(f"Not finished: {names}.", file=sys.stderr)
  return 1 if progress.failed else 0


class _Progress:
  """The state of one call of `run`.

  Attributes:
    records: name of a finished run -> its results.
    failed: names of runs that cannot be finished.
  """

  def __init__(
    self, plan: Sequence[Job], root: str | pathlib.Path, data_dir: str | None
  ):
    self.records: dict[str, dict[str, Any]] = {}
    self.failed: set[str] = set()
    self._root, self._data_dir = root, data_dir
    self._plan = [job.name for job in plan]
    self._said: set[str] = set()

  def attempt(self, job: Job) -> dict[str, Any] | None:
    """The results; None if it failed, is another's, or waits for one."""
    record = work.results_of(job, self._root)
    if record is not None:
      self._say(job, "done")
    elif job.needs is not None and job.needs.name in self.failed:
      self.failed.add(job.name)
    elif job.needs is None or job.needs.name in self.records:
      record = self._finish(job)
    if record is not None:
      self.records[job.name] = record
    return record

  def _finish(self, job: Job) -> dict[str, Any] | None:
    """Does the rest of a run, unless another process works on it."""
    lock = job.workdir(self._root) / owning.LOCK_FILE
    with locks.hold(lock) as mine:
      if not mine:
        self._say(job, f"{locks.holder(lock)} works on it, later")
        return None
      # Another process may have finished it since.
      record = work.results_of(job, self._root)
      if record is not None:
        return record
      self._say(job, f"to do, {work.describe(job, self._root)}")
      try:
        return work.do(job, self._root, data_dir=self._data_dir)
      except (errors.RunError, errors.UserError) as error:
        print(f"Error: {error}", file=sys.stderr)
        self.failed.add(job.name)
        return None

  def _say(self, job: Job, words: str) -> None:
    """Prints a line, once."""
    number = self._plan.index(job.name) + 1
    line = f"[{number}/{len(self._plan)}] {job.title}: {words}"
    if line not in self._said:
      print(line, flush=True)
    self._said.add(line)


def publisher(
  base: str | pathlib.Path, family: str
) -> Callable[[Job, dict[str, Any]], None]:
  """A function for `run` that copies results to where they are committed."""
  return lambda job, record: results.write(job.published(base, family), record)
