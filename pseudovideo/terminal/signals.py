"""Signals as a request that a loop can honour at its next step."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequest:
  """The signal that asked to stop, None so far."""

  def __init__(self):
    self.signal: signal.Signals | None = None


@contextlib.contextmanager
def handled(
  handle: Callable[[int, Any], None], numbers: Iterable[int] = STOPPING
) -> Iterator[None]:
  """Within it, signals call `handle`, but for those that the process ignores.

  So stay those that another language than Python handles. In another thread
  than the main one, which alone gets signals, nothing is changed.
  """
  if threading.current_thread() is not threading.main_thread():
    numbers = ()
  left_alone = (signal.SIG_IGN, None)
  before = {
    number: signal.signal(number, handle)
    for number in numbers
    if signal.getsignal(number) not in left_alone
  }
  try:
    yield
  finally:
    for number, handler in before.items():
      signal.signal(number, handler)


@contextlib.contextmanager
def catch_stop(*, several: bool = False) -> Iterator[StopRequest]:
  """Within it, SIGINT, SIGTERM and SIGHUP only take a note.

  The first one counts; a second SIGINT raises KeyboardInterrupt, for whoever
  cannot wait. A signal that the process ignores stays ignored, as SIGHUP under
  nohup. In another thread than the main one nothing is changed.

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
      request.signal = signal.Signals(noted[0])

  left_to_jax = (signal.SIGTERM,) if several else ()
  caught = [number for number in STOPPING if number not in left_to_jax]
  with handled(handle, caught):
    yield request
