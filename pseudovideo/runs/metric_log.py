"""Logs of a run: JSON lines, PNG files and TensorBoard.

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
from collections.abc import Mapping
from typing import Any

import numpy as np
from absl import logging

from pseudovideo import errors
from pseudovideo.files import atomic
from pseudovideo.report import drawing as images
from pseudovideo.runs import tensorboard as events

METRICS_FILE = "metrics.jsonl"


class MetricWriter:
  """Writes the scalars, pictures and texts of one run into its folder.

  Args:
    workdir: folder of the run; made if need be.
    tensorboard: whether to write TensorBoard events too, to
      `workdir/tensorboard`.
    resume_step: the step that a run resumes from. What an earlier process
      logged after it is removed, since these steps are done again. None keeps
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
      OSError: the file cannot be written; names it.
    """
    if not self._active:
      return
    if taken := {"step", "split"} & values.keys():
      raise ValueError(f"Every logged line has {taken} already; rename it.")
    numbers = {name: float(value) for name, value in values.items()}
    row: dict[str, Any] = {"step": int(step), "split": split}
    row |= {
      name: value if math.isfinite(value) else None
      for name, value in numbers.items()
    }
    with atomic.naming(self._path):
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
  """Reads the lines of `metrics.jsonl`, in the order of logging.

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


def train_seconds(
  workdir: str | os.PathLike, step: float = math.inf
) -> float | None:
  """Seconds of training up to a step, in all processes; None without a log.

  Args:
    workdir: folder of the run.
    step: number of updates done.
  """
  seconds = [
    row["seconds"]
    for row in read_metrics(workdir)
    if row["split"] == "train" and row["step"] <= step
  ]
  return seconds[-1] if seconds else None


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
        f"Line {number} of {path} is not a line of metrics; delete it to read "
        "the others."
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
  with atomic.replacing(path) as part:
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
