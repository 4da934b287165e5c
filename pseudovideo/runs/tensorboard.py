"""TensorBoard's event files, written by the thread that logs.

tensorboardX hands events to a thread of its own, and waits for it forever when
a full disk has ended it. Its file format is used here, without that thread.
"""

import contextlib
import pathlib
import time

import numpy as np
from absl import logging

FLUSH = 10.0  # seconds between two flushes
VERSION = "brain.Event:2"


class EventFile:
  """The events of one process; after a failure to write, the rest is dropped.

  Args:
    folder: made if need be.
    resume_step: the step that the run resumes from; later steps in older files
      are void. None if there are none.

  Raises:
    ImportError: tensorboardX is not installed.
  """

  def __init__(self, folder: pathlib.Path, resume_step: int | None = None):
    from tensorboardX import event_file_writer, summary
    from tensorboardX.proto import event_pb2

    self._summary, self._event = summary, event_pb2.Event
    self._flushed = time.monotonic()
    self._file = None
    try:
      folder.mkdir(parents=True, exist_ok=True)
      # The library's file names change once a second, and it overwrites.
      self._file = event_file_writer.EventsWriter(
        str(folder / "events"), f".{time.time_ns()}"
      )
    except OSError as error:
      self._give_up(error)
    if resume_step is not None:
      start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
      self._write(resume_step + 1, file_version=VERSION)
      self._write(resume_step + 1, session_log=start)

  def scalar(self, step: int, name: str, value: float) -> None:
    """Adds a point of a curve."""
    self._write(step, summary=self._summary.scalar(name, value))

  def image(self, step: int, name: str, image: np.ndarray) -> None:
    """Adds a uint8 (H, W, 3) picture."""
    picture = self._summary.image(name, image, dataformats="HWC")
    self._write(step, summary=picture)

  def text(self, step: int, name: str, text: str) -> None:
    """Adds a text in Markdown."""
    self._write(step, summary=self._summary.text(name, text))

  def close(self) -> None:
    """Writes what is pending."""
    if self._file is None:
      return
    try:
      self._file.close()
    except OSError as error:
      self._give_up(error)

  def _write(self, step: int, **content) -> None:
    if self._file is None:
      return
    event = self._event(step=step, wall_time=time.time(), **content)
    try:
      self._file.write_event(event)
      if time.monotonic() - self._flushed > FLUSH:
        self._flushed = time.monotonic()
        self._file.flush()
    except OSError as error:
      self._give_up(error)

  def _give_up(self, error: OSError) -> None:
    logging.warning("No more TensorBoard logs (%s).", error)
    with contextlib.suppress(OSError):
      if self._file is not None:
        self._file.close()
    self._file = None
