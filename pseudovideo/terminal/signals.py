"""Signals as a request that a loop can honour at its next step."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator


class StopRequest:
  """The signal that asked to stop, None so far."""

  def __init__(self):
    self.signal: signal.Signals | None = None


@contextlib.contextmanager
def catch_stop(*, several: bool = False) -> Iterator[StopRequest]:
  """Within it, SIGINT, SIGTERM and SIGHUP only take a note.

  A second SIGINT raises KeyboardInterrupt, for whoever cannot wait. A signal
  that the process ignores stays ignored, as SIGHUP under nohup. In another
  thread than the main one, which alone gets signals, nothing is changed.

  Args:
    several: whether there are other processes, which have to stop at the same
      step: SIGTERM is left to JAX, see `distributed.should_stop`, and the
      others become one.
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

  caught = [signal.SIGINT, signal.SIGHUP]
  if not several:
    caught.append(signal.SIGTERM)
  if threading.current_thread() is not threading.main_thread():
    caught = []
  before = {
    number: signal.signal(number, handle)
    for number in caught
    if signal.getsignal(number) is not signal.SIG_IGN
  }
  try:
    yield request
  finally:
    for number, handler in before.items():
      signal.signal(number, handler)
