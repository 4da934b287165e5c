"""Ctrl-C and SIGTERM as a request that a loop can honour at its next step."""

import contextlib
import os
import signal
from collections.abc import Iterator


class StopRequest:
  """The signal that asked to stop, None so far."""

  def __init__(self):
    self.signal: signal.Signals | None = None


@contextlib.contextmanager
def catch_stop(*, several: bool = False) -> Iterator[StopRequest]:
  """Within it, SIGINT and SIGTERM only take a note.

  A second SIGINT raises KeyboardInterrupt, for whoever cannot wait. Must be
  entered in the main thread.

  Args:
    several: whether there are other processes, which have to stop at the same
      step: SIGTERM is left to JAX, see `distributed.should_stop`, and SIGINT
      becomes one.
  """
  request = StopRequest()
  noted: list[int] = []

  def handle(number, frame):
    del frame
    if noted and number == signal.SIGINT:
      raise KeyboardInterrupt
    noted.append(number)
    if several:
      os.kill(os.getpid(), signal.SIGTERM)
    else:
      request.signal = signal.Signals(number)

  caught = (signal.SIGINT,) if several else (signal.SIGINT, signal.SIGTERM)
  before = {number: signal.signal(number, handle) for number in caught}
  try:
    yield request
  finally:
    for number, handler in before.items():
      signal.signal(number, handler)
