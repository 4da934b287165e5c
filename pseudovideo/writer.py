"""Logs of a run: JSON lines, PNG files, TensorBoard, and a progress bar.

`metrics.jsonl` is the record; every other view is made from it or beside it.
One line per call:

  {"step": 400, "split": "train", "loss": 3.21, "learning_rate": 0.002}

A value that is not finite is written as null, so that the file is valid JSON,
and is read back as nan.
"""

import contextlib
import json
import math
import os
import pathlib
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO

import numpy as np
from absl import logging

from pseudovideo import errors, events, folders, images

METRICS_FILE = "metrics.jsonl"
FIRST = "compiling the first step"


class MetricWriter:
  """Writes the scalars, pictures and texts of one run into its folder.

  Args:
    workdir: folder of the run; made if need be.
    tensorboard: whether to write TensorBoard events too, to
      `workdir/tensorboard`.
    resume_step: the step that a run goes on from: what an earlier process
      logged after it is removed, since those steps are done again. None keeps
      everything; -1 removes everything.
    process_index: index of this process; only process 0 writes, on others
      every method does nothing.
  """

  def __init__(
    self,
    workdir: str | os.PathLike,
    *,
    tensorboard: bool = True,
    resume_step: int | None = None,
    process_index: int = 0,
  ):
    self._workdir = pathlib.Path(workdir)
    self._active = process_index == 0
    self._events = None
    if not self._active:
      return
    self._workdir.mkdir(parents=True, exist_ok=True)
    self._path = path = self._workdir / METRICS_FILE
    _cut(path, math.inf if resume_step is None else resume_step)
    self._lines = path.open("a", encoding="utf-8")
    if tensorboard:
      self._events = _event_file(self._workdir / "tensorboard", resume_step)

  def scalars(
    self, step: int, values: Mapping[str, Any], split: str = "train"
  ) -> None:
    """Logs numbers, or scalar arrays, of one step.

    Raises:
      ValueError: a value is named `step` or `split`.
      OSError: it cannot be written; names the file.
    """
    if not self._active:
      return
    if taken := {"step", "split"} & values.keys():
      raise ValueError(f"Every logged line has {taken} already; rename it.")
    numbers = {name: float(value) for name, value in values.items()}
    row = {
      name: value if math.isfinite(value) else None
      for name, value in numbers.items()
    }
    row = {"step": int(step), "split": split, **row}
    with folders.naming(self._path):
      self._lines.write(json.dumps(row, allow_nan=False) + "\n")
      self._lines.flush()
    if self._events:
      for name, value in numbers.items():
        self._events.scalar(int(step), f"{split}/{name}", value)

  def images(self, step: int, name: str, image: np.ndarray) -> None:
    """Logs one uint8 (H, W, 1 or 3) picture, as `images/{name}_{step}.png`."""
    if not self._active:
      return
    image = images.to_rgb(image)
    file = f"{name}_{step:08d}.png"
    images.save_png(self._workdir / "images" / file, image)
    if self._events:
      self._events.image(step, name, image)

  def text(self, step: int, name: str, text: str) -> None:
    """Logs a text (Markdown), to TensorBoard only."""
    if self._events:
      self._events.text(step, name, text)

  def close(self) -> None:
    """Writes what is pending; nothing may be logged afterwards."""
    if not self._active:
      return
    # Every line was flushed, or its failure raised, when it was logged.
    with contextlib.suppress(OSError):
      self._lines.close()
    if self._events:
      self._events.close()


def read_metrics(workdir: str | os.PathLike) -> list[dict[str, Any]]:
  """The lines of `metrics.jsonl`, in the order in which they were logged.

  Returns:
    One dict per line, with `step`, `split` and floats, null as nan. Empty
    without a file. A last line that a killed process left unfinished is
    dropped.

  Raises:
    UserError: another line than the last is damaged.
  """
  return [
    {name: math.nan if value is None else value for name, value in row.items()}
    for row in _rows(pathlib.Path(workdir, METRICS_FILE))
  ]


def _rows(path: pathlib.Path) -> list[dict[str, Any]]:
  if not path.exists():
    return []
  rows = []
  lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
  for number, line in enumerate(lines, 1):
    try:
      rows.append(_row(line))
    except (ValueError, RecursionError) as error:
      if number == len(lines):
        break
      raise errors.UserError(
        f"Line {number} of {path} is not a line of metrics; delete it to go on "
        "with the others."
      ) from error
  return rows


def _row(line: str) -> dict[str, Any]:
  """Raises `ValueError` if it is not what `MetricWriter` writes."""
  row = json.loads(line)
  good = (
    isinstance(row, dict)
    and isinstance(row.get("step"), int)
    and isinstance(row.get("split"), str)
    and all(
      value is None or (isinstance(value, int | float) and math.isfinite(value))
      for name, value in row.items()
      if name != "split"
    )
  )
  if not good:
    raise ValueError("no line of metrics")
  return row


def _cut(path: pathlib.Path, last_step: float) -> None:
  """Removes, at once or not at all, later rows and an unfinished line."""
  if not path.exists():
    return
  kept = [row for row in _rows(path) if row["step"] <= last_step]
  with folders.replacing(path) as part:
    part.write_text("".join(json.dumps(row) + "\n" for row in kept))


def _event_file(
  folder: pathlib.Path, resume_step: int | None
) -> events.EventFile | None:
  """TensorBoard's file, or None where tensorboardX is missing."""
  try:
    return events.EventFile(folder, resume_step)
  except ImportError:
    logging.warning("No TensorBoard logs: tensorboardX is not installed.")
    return None


def clock_text(seconds: float) -> str:
  """Seconds as `m:ss` or `h:mm:ss`."""
  minutes, seconds = divmod(round(seconds), 60)
  hours, minutes = divmod(minutes, 60)
  if hours:
    return f"{hours}:{minutes:02d}:{seconds:02d}"
  return f"{minutes}:{seconds:02d}"


class Progress:
  """Shows how far a loop is: a bar on a terminal, elsewhere a line at times.

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
    self._stream = stream or sys.stderr
    self._begin = self._shown_at = clock()
    self._first: tuple[int, float] | None = None
    self._step = self._shown_step = start
    self._loss: Any = None
    self._bar = None
    self._every = every
    if self._stream.isatty():
      self._every = 0.2
      self._bar = self._make_bar(start)
    elif start < total:
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
    first_step, first_time = self._first
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
