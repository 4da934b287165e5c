"""TensorBoard's files on a disk that fails; what they hold: test_writer.py."""

import errno

import pytest
from tensorboardX import record_writer

from pseudovideo.runs import metric_log, tensorboard


def full(*unused):
  raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("operation", ["write", "flush"])
def test_a_disk_that_fills_up_ends_events_but_not_the_run(
  tmp_path, monkeypatch, caplog, operation
):
  monkeypatch.setattr(tensorboard, "FLUSH", -1.0)  # after every event
  log = metric_log.MetricWriter(tmp_path)
  log.scalars(1, {"loss": 1.0})
  monkeypatch.setattr(record_writer.RecordWriter, operation, full)
  # A thread would have died of the first; a queue been full after ten.
  for step in range(2, 40):
    log.scalars(step, {"loss": 1.0})
  log.text(40, "config", "text")
  log.close()
  assert len(metric_log.read_metrics(tmp_path)) == 39
  assert caplog.text.count("No more TensorBoard logs") == 1
  assert "No space left on device" in caplog.text


def test_a_disk_that_is_full_from_the_beginning(tmp_path, monkeypatch, caplog):
  monkeypatch.setattr(record_writer.RecordWriter, "write", full)
  file = tensorboard.EventFile(tmp_path / "tensorboard", 3)
  file.scalar(1, "loss", 1.0)
  file.close()
  assert caplog.text.count("No more TensorBoard logs") == 1
