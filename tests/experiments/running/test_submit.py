"""Jobs of a cluster, with submitit's executor of local processes."""

import pytest

from experiments import __main__ as front
from experiments.paper import table3
from experiments.rows import base
from experiments.running import submit

ROW = "one_frame"


def job(name=ROW):
  (row,) = table3.TABLE.chosen([name])
  return base.Job(row, "digits", "tiny", 0)


def parsed(*argv):
  values = submit.define_flags()
  values(["", *argv])
  return values


def test_a_job_is_the_command_that_runs_its_row(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  values = parsed("--preset=tiny", "--publish=results", "--minutes=5")
  assert submit.arguments(job(), values) == [
    "run", "--preset=tiny", "--dataset=digits",
    f"--root={tmp_path / 'runs'}", f"--publish={tmp_path / 'results'}",
    "--rows=one_frame", "--seeds=0",
  ]  # fmt: skip


def test_only_what_is_missing_is_submitted(tmp_path, write_finished):
  write_finished(job(), tmp_path)
  flags = ["--preset=tiny", f"--root={tmp_path}"]
  values = parsed(*flags, f"--rows={ROW},high_order_4")
  assert [one.name for one in submit.jobs(table3.TABLE, values)] == [
    "high_order_4-seed0"
  ]


def test_done_is_said(tmp_path, write_finished, capsys):
  write_finished(job(), tmp_path)
  flags = ["--preset=tiny", f"--root={tmp_path}", f"--rows={ROW}"]
  assert front.main(["submit", "table3", *flags, "--cluster=local"]) == 0
  assert capsys.readouterr().out == "All rows are done.\n"


def test_an_unknown_cluster_is_refused(tmp_path, capsys):
  flags = ["--preset=tiny", f"--root={tmp_path}", f"--rows={ROW}"]
  assert front.main(["submit", "table3", *flags, "--cluster=pbs"]) == 2
  assert "no --cluster named 'pbs'" in capsys.readouterr().err


def test_a_host_without_slurm_is_named(tmp_path, capsys, monkeypatch):
  monkeypatch.setenv("PATH", "")
  flags = ["--preset=tiny", f"--root={tmp_path}", f"--rows={ROW}"]
  assert front.main(["submit", "table3", *flags]) == 2
  assert "There is no SLURM here" in capsys.readouterr().err


def test_the_settings_reach_the_cluster(tmp_path, monkeypatch):
  submitit = pytest.importorskip("submitit")
  monkeypatch.setattr(submitit.SlurmExecutor, "affinity", lambda _: 2)
  values = parsed(
    f"--root={tmp_path}", "--minutes=90", "--gpus=2", "--cpus=4",
    "--partition=long",
  )  # fmt: skip
  given = submit.executor(values)._executor.parameters
  assert given["time"] == 90 and given["partition"] == "long"
  assert given["gpus_per_node"] == 2 and given["cpus_per_task"] == 4


def test_a_local_cluster_runs_the_command_and_keeps_what_it_says(
  tmp_path, monkeypatch
):
  """The command is `report`, which ends soon."""
  pytest.importorskip("submitit")
  monkeypatch.setattr(submit, "arguments", lambda *_: ["report"])
  flags = ["--preset=tiny", f"--root={tmp_path}", f"--rows={ROW}", "--wait"]
  assert front.main(["submit", "table3", *flags, "--cluster=local"]) == 0
  (log,) = (tmp_path / submit.LOGS).glob("*_log.out")
  assert table3.TABLE.title in log.read_text()
