"""Logs of a run: JSON lines, PNG files and TensorBoard.

`metrics.jsonl` is the record; every other view is made from it or beside it.
One line per call:

  {"step": 400, "split": "train", "loss": 3.21, "learning_rate": 0.002}

A value that is not finite is written as null, so that the file is valid JSON,
and is read back as nan.

A run does not end because something here cannot be written: the first line and
the first picture are a warning, and what is lost in the end is said.
"""

import math
import os
import pathlib
import shutil
from collections.abc import Mapping
from typing import Any

import numpy as np
from absl import logging

from pseudovideo.files import atomic, spared, untrusted
from pseudovideo.report import drawing as images
from pseudovideo.runs import log_lines
from pseudovideo.runs import tensorboard as events

METRICS_FILE = "metrics.jsonl"
DAMAGED_FILE = "metrics.damaged.jsonl"
"""The log as it was, where lines were left out of it."""


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
    self._spared = spared.Spared("the run goes on without it")
    self._path = self._workdir / METRICS_FILE
    self._lines = log_lines.Appender(self._path)
    with self._spared.writing("log", self._path):
      self._workdir.mkdir(parents=True, exist_ok=True)
      _cut(self._path, math.inf if resume_step is None else resume_step)
    if tensorboard:
      self._events = _event_file(self._workdir / "tensorboard", resume_step)

  def scalars(
    self, step: int, values: Mapping[str, Any], split: str = "train"
  ) -> None:
    """Logs numbers, or scalar arrays, of one step.

    A line that cannot be written now is tried again with the next one.

    Raises:
      ValueError: a value is named `step` or `split`.
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
    with self._spared.writing("log", self._path):
      self._lines.add(row)
    if self._events:
      for name, value in numbers.items():
        self._events.scalar(int(step), f"{split}/{name}", value)

  def images(self, step: int, name: str, image: np.ndarray) -> None:
    """Logs one uint8 (H, W, 1 or 3) picture, as `images/{name}_{step}.png`."""
    if not self._active:
      return
    image = images.to_rgb(image)
    path = self._workdir / "images" / f"{name}_{step:08d}.png"
    with self._spared.writing("pictures", path):
      images.save_png(path, image)
    if self._events:
      self._events.image(step, name, image)

  def text(self, step: int, name: str, text: str) -> None:
    """Logs a text (Markdown), to TensorBoard only."""
    if self._events:
      self._events.text(step, name, text)

  def close(self) -> None:
    """Writes what is pending, and says what is lost; comes last."""
    if not self._active:
      return
    try:
      self._lines.write()
    except OSError as error:
      steps = self._lines.steps
      logging.warning(
        "%d lines of the log, of steps %d to %d, are lost, since %s cannot be "
        "written (%s).",
        len(steps),
        min(steps),
        max(steps),
        self._path,
        untrusted.reason(error),
      )
    if lost := self._spared["pictures"]:
      logging.warning("%d pictures could not be written.", lost)
    if self._events:
      self._events.close()


def read_metrics(workdir: str | os.PathLike) -> list[dict[str, Any]]:
  """Reads the lines of `metrics.jsonl`, in the order of logging.

  Returns:
    One dict per line, with `step`, `split` and floats, null as nan. Empty
    without a file. A last line that a killed process left unfinished is
    dropped; any other that is no line of metrics is left out with a warning.
  """
  path = pathlib.Path(workdir, METRICS_FILE)
  try:
    rows, _ = log_lines.read(path)
  except FileNotFoundError:
    return []
  except OSError as error:
    log_lines.say_once(
      f"The log {path} is left out: it cannot be read "
      f"({untrusted.reason(error)})."
    )
    return []
  return [
    {name: math.nan if value is None else value for name, value in row.items()}
    for row in rows
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
    row.get("seconds", math.nan)
    for row in read_metrics(workdir)
    if row["split"] == "train" and row["step"] <= step
  ]
  return max(filter(math.isfinite, seconds), default=None)


def _cut(path: pathlib.Path, last_step: float) -> None:
  """Removes, at once or not at all, later rows and what is no row."""
  if not path.exists():
    return
  rows, faulty = log_lines.read(path)
  kept = [row for row in rows if row["step"] <= last_step]
  if faulty:
    shutil.copyfile(path, path.with_name(DAMAGED_FILE))
  with atomic.replacing(path) as part:
    part.write_bytes(log_lines.dump(kept))


def _event_file(
  folder: pathlib.Path, resume_step: int | None
) -> events.EventFile | None:
  """TensorBoard's file, or None where tensorboardX is missing or broken."""
  try:
    return events.EventFile(folder, resume_step)
  except ImportError:
    logging.warning("No TensorBoard logs: tensorboardX is not installed.")
  except Exception as error:  # Another version of protobuf raises its own.
    logging.warning("No TensorBoard logs (%s).", untrusted.reason(error))
  return None
