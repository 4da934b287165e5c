"""Progress of a loop: a bar on a terminal, elsewhere a line at times."""

import contextlib
import os
import sys
import time
from collections.abc import Callable
from typing import Any, TextIO

from pseudovideo.terminal import output

FIRST = "compiling the first step"


def clock_text(seconds: float) -> str:
  """Seconds as `m:ss` or `h:mm:ss`."""
  minutes, seconds = divmod(round(seconds), 60)
  hours, minutes = divmod(minutes, 60)
  if hours:
    return f"{hours}:{minutes:02d}:{seconds:02d}"
  return f"{minutes}:{seconds:02d}"


class Progress:
  """Shows how far a loop is: a bar on a terminal, elsewhere a line at times.

  It raises nothing: what cannot be shown is not.

  The rate counts from the end of the first step on, which contains the
  compilation:

    images/s = unit_per_step (step - first) / (now - time of first).

  Args:
    total: the step at which the loop ends.
    start: steps done before, by an earlier process.
    unit_per_step: images that one step takes.
    description: what the loop does, in a few words: "heat HVAE".
    every: seconds between two lines, where the stream is no terminal.
    stream: by default the standard error.
    clock: seconds, as a function; tests give their own.
  """

  def __init__(
    self,
    total: int,
    start: int = 0,
    unit_per_step: int = 1,
    *,
    description: str = "",
    every: float = 10.0,
    stream: TextIO | None = None,
    clock: Callable[[], float] = time.monotonic,
  ):
    self._total, self._unit, self._clock = total, unit_per_step, clock
    self._title = f"{description}  " if description else ""
    self._stream = output.lenient(stream or sys.stderr)
    self._begin = self._shown_at = clock()
    self._first: tuple[int, float] | None = None
    self._step = self._shown_step = start
    self._loss: Any = None
    self._bar = None
    self._every = every
    if self._stream.isatty() and os.environ.get("TERM") != "dumb":
      # Its settings come from the environment too, and may be wrong.
      with contextlib.suppress(Exception):
        self._bar = self._make_bar(start)
        self._every = 0.2
    if self._bar is None and start < total:
      self._print(f"step {start}/{total}  {FIRST}")

  def update(self, step: int, loss: Any = None) -> None:
    """Says that `step` steps are done.

    Args:
      step: steps done, from the very beginning.
      loss: number or scalar array; it is read only when it is shown, so that
        the device is not waited for. None shows the one given last.
    """
    now = self._clock()
    self._step = step
    self._loss = self._loss if loss is None else loss
    is_first = self._first is None
    if is_first:
      self._first = step, now
    if is_first or step >= self._total or now - self._shown_at >= self._every:
      self._show(now)

  def close(self) -> None:
    """Shows the last state, if it is not shown yet, and ends the bar."""
    if self._step != self._shown_step:
      self._show(self._clock())
    if self._bar is not None:
      self._bar.close()

  def status(self, now: float) -> str:
    """Loss, rate and time left, in words; for example at `now` seconds.

    "loss 3.21  812 images/s  ETA 1:23"
    """
    parts = [] if self._loss is None else [f"loss {float(self._loss):.4g}"]
    first_step, first_time = self._first or (self._step, now)
    steps, seconds = self._step - first_step, now - first_time
    if steps and seconds > 0:
      rate = self._unit * steps / seconds
      parts.append(f"{rate:.{0 if rate >= 10 else 2}f} images/s")
    if self._step >= self._total:
      parts.append(f"took {clock_text(now - self._begin)}")
    elif steps:
      left = (self._total - self._step) * seconds / steps
      parts.append(f"ETA {clock_text(left)}")
    else:
      parts.append(f"first step took {clock_text(now - self._begin)}")
    return "  ".join(parts)

  def _show(self, now: float) -> None:
    self._shown_at, self._shown_step = now, self._step
    status = self.status(now)
    if self._bar is None:
      self._print(f"step {self._step}/{self._total}  {status}")
    else:
      self._bar.n = self._step
      self._bar.set_postfix_str(status)

  def _print(self, text: str) -> None:
    print(f"{self._title}{text}", file=self._stream, flush=True)

  def _make_bar(self, start: int) -> Any:
    import tqdm

    return tqdm.tqdm(
      total=self._total,
      initial=start,
      file=self._stream,
      dynamic_ncols=True,
      bar_format="{desc}{percentage:3.0f}% |{bar}| {n}/{total}{postfix}",
      desc=self._title,
      postfix=FIRST,
    )
