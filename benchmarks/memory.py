"""Resident memory of this process."""

import ctypes
import gc
import pathlib
import sys
from collections.abc import Callable
from typing import Any

PROCESS = pathlib.Path("/proc/self")


def added_mb(function: Callable[[], Any]) -> float | None:
  """The most that a call adds to the resident memory, in 10^6 bytes.

  Memory that was freed before, as by compilation, is returned to the system
  first, so that the call cannot use it unseen.

  Returns:
    The peak less the memory before the call; None on other systems than Linux,
    which do not let the peak be reset.
  """
  if sys.platform != "linux":
    return None
  gc.collect()
  ctypes.CDLL(None).malloc_trim(0)
  (PROCESS / "clear_refs").write_text("5")  # The peak is what is there now.
  before = _peak_mb()
  function()
  return _peak_mb() - before


def _peak_mb() -> float:
  """The largest resident memory since the start, or the last reset."""
  status = (PROCESS / "status").read_text()
  line = next(x for x in status.splitlines() if x.startswith("VmHWM:"))
  return int(line.split()[1]) * 1024 / 1e6
