"""Lines of metrics.jsonl that are damaged, and files that refuse new ones."""

import json
import os

import numpy as np
import pytest

from pseudovideo.report import run as run_report
from pseudovideo.runs import metric_log

GOOD = '{"step": 1, "split": "train", "loss": 2.0}'
BAD = {
  "list": b"[]",
  "number": b"3",
  "empty": b"",
  "nesting": b"[" * 200_000,
  "no step": b'{"split": "train"}',
  "no split": b'{"step": 1}',
  "step of text": b'{"step": "1", "split": "train"}',
  "step of bool": b'{"step": true, "split": "train"}',
  "negative step": b'{"step": -1, "split": "train"}',
  "fraction of a step": b'{"step": 1.5, "split": "train"}',
  "long step": b'{"step": 1' + b"0" * 400 + b', "split": "train"}',
  "split of numbers": b'{"step": 1, "split": 3}',
  "text": b'{"step": 1, "split": "train", "loss": "low"}',
  "bool": b'{"step": 1, "split": "train", "loss": true}',
  "nan": b'{"step": 1, "split": "train", "loss": NaN}',
  "infinity": b'{"step": 1, "split": "train", "loss": -Infinity}',
  "exponent": b'{"step": 1, "split": "train", "loss": 1e999}',
  "long number": b'{"step": 1, "split": "train", "loss": 1'
  + b"0" * 4000
  + b"}",
  "longer": b'{"step": 1, "split": "train", "loss": ' + b"1" * 10_000 + b"}",
  "surrogate": b'{"step": 1, "split": "\\ud800", "loss": 1.0}',
  "control": b'{"step": 1, "split": "train", "a\\u0000": 1.0}',
  "twice": b'{"step": 1, "step": 2, "split": "train"}',
  "NUL": b'{"step": 1, "split": "train"}\x00\x00',
  "bytes": b'{"step": 1, "split": "\xff\xfe"}',
  "very long": b'{"step": 1, "split": "train"' + b" " * 3_000_000 + b"}",
}


@pytest.mark.parametrize("line", BAD.values(), ids=BAD.keys())
def test_a_line_that_nobody_writes_is_left_out(tmp_path, caplog, line):
  path = tmp_path / metric_log.METRICS_FILE
  good = GOOD.encode()
  path.write_bytes(b"\n".join([good, line, good, line, b""]))
  assert [r["loss"] for r in metric_log.read_metrics(tmp_path)] == [2.0, 2.0]
  assert "Lines 2, 4 of" in caplog.text
  assert metric_log.train_seconds(tmp_path) is None


@pytest.mark.parametrize("line", BAD.values(), ids=BAD.keys())
def test_a_damaged_log_is_gone_on_with_and_kept(tmp_path, line):
  path = tmp_path / metric_log.METRICS_FILE
  before = GOOD.encode() + b"\n" + line + b"\n"
  path.write_bytes(before)
  log = metric_log.MetricWriter(tmp_path, tensorboard=False, resume_step=1)
  log.scalars(2, {"loss": 1.0})
  log.close()
  lines = path.read_text().splitlines()
  assert [json.loads(line)["step"] for line in lines] == [1, 2]
  assert (tmp_path / metric_log.DAMAGED_FILE).read_bytes() == before


@pytest.mark.parametrize("start", [b"\xef\xbb\xbf", b""])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_other_programs_ways_of_writing_text_are_read(tmp_path, start, end):
  path = tmp_path / metric_log.METRICS_FILE
  path.write_bytes(start + 2 * (GOOD.encode() + end))
  assert len(metric_log.read_metrics(tmp_path)) == 2


def folder(path):
  path.mkdir()


def pipe(path):
  os.mkfifo(path)


def full(path):
  path.symlink_to("/dev/full")


def loop(path):
  path.symlink_to(path)


IN_ITS_PLACE = [folder, pipe, full, loop]


@pytest.mark.parametrize("place", IN_ITS_PLACE)
def test_what_stands_in_the_place_of_a_log_ends_no_run(tmp_path, caplog, place):
  place(tmp_path / metric_log.METRICS_FILE)
  log = metric_log.MetricWriter(tmp_path, tensorboard=False, resume_step=-1)
  for step in range(3):
    log.scalars(step, {"loss": 1.0})
  log.close()
  assert metric_log.read_metrics(tmp_path) == []
  assert caplog.text.count("cannot be written") == 2
  assert "3 lines of the log, of steps 0 to 2" in caplog.text


@pytest.mark.parametrize("place", IN_ITS_PLACE)
def test_a_line_that_had_to_wait_is_written_later(tmp_path, place, caplog):
  path = tmp_path / metric_log.METRICS_FILE
  log = metric_log.MetricWriter(tmp_path, tensorboard=False)
  log.scalars(0, {"loss": 1.0})
  path.rename(tmp_path / "away")
  place(path)
  log.scalars(1, {"loss": 1.0})
  path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
  (tmp_path / "away").rename(path)
  log.scalars(2, {"loss": 1.0})
  log.close()
  assert [r["step"] for r in metric_log.read_metrics(tmp_path)] == [0, 1, 2]
  assert "are lost" not in caplog.text


@pytest.mark.parametrize("name", ["images", "tensorboard"])
def test_pictures_and_events_that_cannot_be_written(tmp_path, caplog, name):
  (tmp_path / name).write_text("in its place")
  log = metric_log.MetricWriter(tmp_path)
  for step in range(3):
    log.images(step, "samples", np.zeros((2, 2, 3), np.uint8))
    log.scalars(step, {"loss": 1.0})
  log.close()
  assert len(metric_log.read_metrics(tmp_path)) == 3
  assert len([r for r in caplog.records if name in r.getMessage()]) == 1


def test_huge_values_have_a_report(tmp_path):
  path = tmp_path / metric_log.METRICS_FILE
  values = (1e308, -1e308, 0.0, 5e-324, 1e-300)
  path.write_text(
    "".join(
      f'{{"step": {step}, "split": "train", "loss": {value}, "x": null}}\n'
      for step, value in zip((0, 1, 2**53 - 1, 3, 3), values, strict=True)
    )
  )
  rows = metric_log.read_metrics(tmp_path)
  assert len(rows) == len(values)
  run_report.run_report(tmp_path, title="\udcff ±", metrics=rows)
