import io
import json
import math
import re
import struct
import sys

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from pseudovideo.runs import metric_log
from pseudovideo.terminal import progress_bar


def log(folder, steps, **arguments):
  metrics = metric_log.MetricWriter(folder, tensorboard=False, **arguments)
  for step in steps:
    metrics.scalars(step, {"loss": step / 3})
  metrics.close()


def logged_steps(folder) -> list[int]:
  return [row["step"] for row in metric_log.read_metrics(folder)]


def events(folder) -> list:
  """The events of all TFRecord files: length, its crc, bytes, their crc."""
  from tensorboardX.proto import event_pb2

  found = []
  for path in sorted((folder / "tensorboard").iterdir()):
    data, at = path.read_bytes(), 0
    while at < len(data):
      (length,) = struct.unpack_from("<Q", data, at)
      found.append(event_pb2.Event.FromString(data[at + 12 : at + 12 + length]))
      at += 12 + length + 4
  return found


def test_what_is_logged_is_read_back_exactly(tmp_path):
  metrics = metric_log.MetricWriter(tmp_path / "run", tensorboard=False)
  metrics.scalars(1, {"loss": 1 / 3, "rate": jnp.float32(0.1)})
  metrics.scalars(1, {"loss": 2}, split="test")
  # Without closing: every line is on disk as soon as it is logged.
  assert metric_log.read_metrics(tmp_path / "run") == [
    {
      "step": 1,
      "split": "train",
      "loss": 1 / 3,
      "rate": float(np.float32(0.1)),
    },
    {"step": 1, "split": "test", "loss": 2.0},
  ]
  metrics.close()


def test_no_file_reads_as_no_rows(tmp_path):
  assert metric_log.read_metrics(tmp_path) == []


def test_a_value_that_is_not_finite_keeps_the_file_valid_json(tmp_path):
  metrics = metric_log.MetricWriter(tmp_path, tensorboard=False)
  for step, value in enumerate((math.nan, math.inf, -math.inf)):
    metrics.scalars(step, {"loss": value})
  metrics.close()

  def refuse(constant):
    raise AssertionError(f"{constant} is no JSON")

  for line in (tmp_path / "metrics.jsonl").read_text().splitlines():
    json.loads(line, parse_constant=refuse)
  rows = metric_log.read_metrics(tmp_path)
  assert len(rows) == 3 and all(math.isnan(row["loss"]) for row in rows)


@pytest.mark.parametrize(
  ("resume_step", "kept"),
  [(None, [0, 1, 2, 3]), (-1, []), (2, [0, 1, 2]), (9, [0, 1, 2, 3])],
)
def test_resuming_removes_the_rows_that_are_done_again(
  tmp_path, resume_step, kept
):
  log(tmp_path, range(4))
  log(tmp_path, [10], resume_step=resume_step)
  assert logged_steps(tmp_path) == [*kept, 10]
  assert [p.name for p in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_resumed_file_equals_that_of_an_uninterrupted_run(tmp_path):
  log(tmp_path / "whole", range(8))
  log(tmp_path / "cut", range(6))
  log(tmp_path / "cut", range(4, 8), resume_step=3)
  whole, cut = (
    (tmp_path / name / "metrics.jsonl").read_bytes()
    for name in ("whole", "cut")
  )
  assert whole == cut


def test_a_line_cut_anywhere_by_a_kill_costs_that_line_only(tmp_path):
  log(tmp_path, range(3))
  path = tmp_path / "metrics.jsonl"
  data = path.read_bytes()
  start = data[:-1].rindex(b"\n") + 1
  for end in range(start, len(data)):
    path.write_bytes(data[:end])
    whole = end == len(data) - 1  # Only the newline is missing.
    assert logged_steps(tmp_path) == [0, 1] + [2] * whole
    log(tmp_path, [7])
    assert logged_steps(tmp_path) == [0, 1] + [2] * whole + [7]


def test_reserved_names_are_refused(tmp_path):
  metrics = metric_log.MetricWriter(tmp_path, tensorboard=False)
  with pytest.raises(ValueError, match="step"):
    metrics.scalars(1, {"step": 2.0})
  metrics.close()


def test_only_process_zero_touches_the_disk(tmp_path):
  metrics = metric_log.MetricWriter(tmp_path / "run", process_index=1)
  metrics.scalars(1, {"loss": 1.0})
  metrics.images(1, "samples", np.zeros((2, 2, 3), np.uint8))
  metrics.text(1, "config", "text")
  metrics.close()
  assert not (tmp_path / "run").exists()


def test_tensorboard_files_hold_what_was_logged(tmp_path):
  picture = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
  metrics = metric_log.MetricWriter(tmp_path)
  metrics.scalars(3, {"loss": 0.25})
  metrics.scalars(4, {"loss": 0.5}, split="test")
  metrics.images(4, "samples", picture)
  metrics.text(4, "config", "seed: 0")
  metrics.close()
  values = {
    (event.step, value.tag): value
    for event in events(tmp_path)
    for value in event.summary.value
  }
  assert values[3, "train/loss"].simple_value == 0.25
  assert values[4, "test/loss"].simple_value == 0.5
  text = [v for (_, tag), v in values.items() if tag.startswith("config")]
  assert text[0].tensor.string_val == [b"seed: 0"]
  for data in (
    values[4, "samples"].image.encoded_image_string,
    (tmp_path / "images" / "samples_00000004.png").read_bytes(),
  ):
    stored = np.asarray(Image.open(io.BytesIO(data)))
    np.testing.assert_array_equal(stored, picture)


def test_a_resumed_run_tells_tensorboard_what_is_void(tmp_path):
  for resume_step in (None, 2):
    metrics = metric_log.MetricWriter(tmp_path, resume_step=resume_step)
    metrics.scalars(3, {"loss": 1.0})
    metrics.close()
  found = events(tmp_path)
  assert len(list((tmp_path / "tensorboard").iterdir())) == 2
  start = type(found[0].session_log).START
  assert [e.step for e in found if e.session_log.status == start] == [3]


def test_without_tensorboardx_the_json_lines_are_written(
  tmp_path, monkeypatch, caplog
):
  monkeypatch.setitem(sys.modules, "tensorboardX", None)
  metrics = metric_log.MetricWriter(tmp_path)
  metrics.scalars(1, {"loss": 1.0})
  metrics.text(1, "config", "text")
  metrics.close()
  assert logged_steps(tmp_path) == [1]
  assert "tensorboardX is not installed" in caplog.text
  assert not (tmp_path / "tensorboard").exists()


class Stream(io.StringIO):
  def __init__(self, terminal: bool = False):
    super().__init__()
    self.terminal = terminal

  def isatty(self) -> bool:
    return self.terminal


class Clock:
  now = 1000.0

  def __call__(self) -> float:
    return self.now


def run(steps, total, seconds, first, *, start=0, terminal=False, **arguments):
  """Lines of a loop whose first step takes `first`, the others `seconds`."""
  stream, clock = Stream(terminal), Clock()
  progress = progress_bar.Progress(
    total, start, 64, stream=stream, clock=clock, **arguments
  )
  for i, step in enumerate(steps):
    clock.now += seconds if i else first
    progress.update(step, jnp.float32(1 / step))
  progress.close()
  return re.split(r"[\r\n]+", stream.getvalue().strip())


def test_rate_and_time_left_do_not_count_the_compilation():
  lines = run(range(1, 1601), 1600, 0.0625, 30.0, description="heat HVAE")
  assert lines[0] == "heat HVAE  step 0/1600  compiling the first step"
  assert lines[1] == "heat HVAE  step 1/1600  loss 1  first step took 0:30"
  # 10 s later: 160 steps of 64 images in 10 s; 1439 steps are left.
  assert lines[2] == (
    "heat HVAE  step 161/1600  loss 0.006211  1024 images/s  ETA 1:30"
  )
  assert lines[-1] == (
    "heat HVAE  step 1600/1600  loss 0.000625  1024 images/s  took 2:10"
  )
  # 99.9 s of steps at 10 s per line, the first two lines, and the last.
  assert len(lines) == 9 + 3


def test_a_resumed_loop_counts_its_own_steps():
  lines = run(range(101, 201), 200, 1.0, 5.0, start=100, every=50)
  assert lines == [
    "step 100/200  compiling the first step",
    "step 101/200  loss 0.009901  first step took 0:05",
    "step 151/200  loss 0.006623  64 images/s  ETA 0:49",
    "step 200/200  loss 0.005  64 images/s  took 1:44",
  ]


def test_an_interrupted_loop_ends_with_where_it_stood():
  lines = run(range(1, 5), 1000, 1.0, 1.0)
  assert lines[-1] == "step 4/1000  loss 0.25  64 images/s  ETA 16:36"


def test_slow_steps_are_not_said_to_take_forever_or_no_time():
  lines = run([1, 2], 3, 6400.0, 1.0)
  assert lines[-1] == "step 2/3  loss 0.5  0.01 images/s  ETA 1:46:40"


def test_nothing_to_do_says_nothing():
  assert run([], 10, 1.0, 1.0, start=10) == [""]


def test_loss_is_read_only_when_it_is_shown():
  class Loss:
    reads = 0

    def __float__(self):
      Loss.reads += 1
      return 0.0

  stream, clock = Stream(), Clock()
  progress = progress_bar.Progress(1000, stream=stream, clock=clock)
  for step in range(1, 1001):
    clock.now += 0.1
    progress.update(step, Loss())
  assert Loss.reads == len(stream.getvalue().splitlines()) - 1 < 15


def test_a_terminal_gets_one_bar():
  lines = run(
    range(1, 101), 100, 0.1, 9.0, description="heat HVAE", terminal=True
  )
  assert "compiling the first step" in lines[0]
  assert lines[-1].startswith("heat HVAE  100% |")
  assert (
    lines[-1].rstrip().endswith("100/100, loss 0.01  640 images/s  took 0:19")
  )
  # Drawn at most every 0.2 s of 18.9 s.
  assert 40 < len(lines) < 60
