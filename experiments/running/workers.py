"""Several processes that share the rows of a table and the GPUs.

They share rows by the lock in each run's folder, as processes that were started
by hand do.
"""

import glob
import os
import signal
import subprocess
import sys
from collections.abc import Sequence

from pseudovideo import errors
from pseudovideo.terminal import signals

_FLAG = "--workers="
_VISIBLE = "CUDA_VISIBLE_DEVICES"


def parse_count(argv: Sequence[str]) -> tuple[int, list[str]]:
  """Splits arguments into the value of --workers, 1 if absent, and the rest.

  Raises:
    UserError: the value is no positive number.
  """
  values = [arg for arg in argv if arg.startswith(_FLAG)]
  if not values:
    return 1, list(argv)
  text = values[-1].removeprefix(_FLAG)
  if not text.isdecimal() or int(text) < 1:
    raise errors.UserError(f"--workers must be at least 1; got {text!r}.")
  return int(text), [arg for arg in argv if not arg.startswith(_FLAG)]


def gpus() -> list[str]:
  """The GPUs that this process may use, by name; none of them is opened."""
  if _VISIBLE in os.environ:
    return [name for name in os.environ[_VISIBLE].split(",") if name]
  found = glob.glob("/dev/nvidia[0-9]*")
  return sorted((path.removeprefix("/dev/nvidia") for path in found), key=int)


def shares(devices: Sequence[str], count: int) -> list[list[str]]:
  """The devices of each process, as many for each as can be.

  Raises:
    UserError: there are fewer devices than processes.
  """
  if devices and len(devices) < count:
    raise errors.UserError(
      f"--workers={count} needs as many GPUs; there are {len(devices)}."
    )
  return [list(devices[i::count]) for i in range(count)]


def side_by_side(argv: Sequence[str], count: int) -> int:
  """Runs the same command `count` times; returns the worst exit code.

  SIGTERM, SIGHUP and SIGINT are passed on, so that all of them save and stop;
  SIGINT as SIGTERM, since Ctrl-C reaches the processes by itself, and two of
  them would end one without saving.

  Args:
    argv: arguments of `python -m experiments`.
    count: number of processes.
  """
  processes, received = [], []

  def pass_on(number, _):
    received.append(number)
    passed = signal.SIGTERM if number == signal.SIGINT else number
    for process in processes:
      process.send_signal(passed)

  each = shares(gpus(), count)
  with signals.handled(pass_on):
    for share in each:
      own = {_VISIBLE: ",".join(share)} if share else {}
      processes.append(
        subprocess.Popen(
          [sys.executable, "-m", "experiments", *argv], env=os.environ | own
        )
      )
    if received:
      # Some may have started since.
      pass_on(received[-1], None)
    return max(_code(process.wait()) for process in processes)


def _code(returned: int) -> int:
  """An exit code as a shell gives it, 128 + N after signal N."""
  return returned if returned >= 0 else 128 - returned
