"""Table 4: the paper's numbers, and a real run in the smallest preset."""

import numpy as np
import pytest

from experiments.paper import table4
from experiments.rows import base, diffusion
from experiments.running import commands
from pseudovideo import runs
from pseudovideo.evaluation import evaluate
from pseudovideo.runs import (
  checkpoints,
  metric_log,
  results,
  sample_files,
)
from pseudovideo.training import loop

# Table 4 of the paper, copied from there.
PAPER = {
  "cifar10": {"one_frame": 12.90, "one_frame_4k": 11.95, "high_order_4": 12.58},
  "celeb_a": {"one_frame": 7.76, "one_frame_4k": 7.87, "high_order_4": 6.88},
}


def test_the_paper_s_numbers():
  for dataset, numbers in PAPER.items():
    own = {r.name: r.paper[dataset] for r in table4.TABLE.rows if r.paper}
    assert own == numbers


def test_controls_have_no_number_of_the_paper():
  controls = [row for row in table4.TABLE.rows if row.is_control]
  names = [row.name for row in controls]
  assert names == ["one_frame_flops", "one_frame_evals"]
  assert not any(row.paper for row in controls)


def command(root, *arguments):
  argv = [*arguments, "--preset=tiny", "--dataset=digits", f"--root={root}"]
  return commands.table_main(table4.TABLE, table4.__doc__, argv)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
  """A row whose weights come from one that was interrupted after 3 steps."""
  root = tmp_path_factory.mktemp("runs")
  job = base.Job(diffusion.ONE_FRAME, "digits", "tiny", 0)
  shorter = job.config.replaced("train", steps=3)
  assert loop.train(shorter, job.workdir(root)).step == 3
  assert command(root, "run", "--rows=one_frame_evals") == 0
  return root / "digits-tiny"


@pytest.mark.slow("trains rows of a table")
def test_it_goes_on_and_samples_one_model_in_two_ways(root):
  plain, matched = root / "one_frame-seed0", root / "one_frame_evals-seed0"
  steps = [row["step"] for row in metric_log.read_metrics(plain)]
  assert steps == sorted(steps) and steps[-1] == 6
  assert not (matched / checkpoints.FOLDER).exists()
  records = [results.read(f / evaluate.RESULTS_FILE) for f in (plain, matched)]
  assert [r["network_evaluations"] for r in records] == [4, 12]
  assert [r["step"] for r in records] == [6, 6]
  assert [r["config"]["sampler"]["respacing"] for r in records] == ["4", "12"]
  assert records[0]["wall_seconds"]["train"] > 0
  assert (
    records[0]["wall_seconds"]["train"] == (records[1]["wall_seconds"]["train"])
  )
  first, second = (
    sample_files.load(folder / sample_files.NAME).images
    for folder in (plain, matched)
  )
  assert first.shape == second.shape == (16, 8, 8, 1)
  assert (first != second).any()
  drawn = evaluate.draw(runs.restore(plain, config=records[1]["config"]))
  np.testing.assert_array_equal(drawn.images, second)
  assert (matched / "report.html").exists()


@pytest.mark.slow("trains rows of a table")
def test_a_second_time_finds_it_done(root, monkeypatch, capsys):
  monkeypatch.setattr(loop, "train", None)
  monkeypatch.setattr(evaluate, "evaluate", None)
  assert command(root.parent, "run", "--rows=one_frame_evals") == 0
  assert capsys.readouterr().out.splitlines() == [
    "[1/2] 1 frame, seed 0: done",
    "[2/2] 1 frame, evaluations of 4, seed 0: done",
  ]
  check_report(root, capsys)


@pytest.mark.slow("trains rows of a table")
def test_other_samples_of_a_trained_row_need_no_training(root):
  """Results that were drawn otherwise are replaced, from the same weights."""
  path = root / "one_frame-seed0" / evaluate.RESULTS_FILE
  before = results.read(path)
  changed = before | {
    "config": before["config"] | {"sampler": {"respacing": "2"}}
  }
  results.write(path, changed)
  saved = [*(root / "one_frame-seed0" / checkpoints.FOLDER).iterdir()]
  assert command(root.parent, "run", "--rows=one_frame") == 0
  assert [*(root / "one_frame-seed0" / checkpoints.FOLDER).iterdir()] == saved
  after = results.read(path)
  assert after["config"] == before["config"]
  assert after["metrics"] == before["metrics"]


def check_report(root, capsys):
  """It has both, and names the rest."""
  assert command(root.parent, "report", "--format=md") == 0
  text = capsys.readouterr().out
  assert "Not run: 1 frame, 4,000 steps; 4 frames, high order; " in text
  lines = text.splitlines()
  table = {cells[1].strip(): cells[2:-1] for line in lines
           if line.startswith("|")
           if len(cells := line.split("|")) > 3}  # fmt: skip
  header = [cell.strip() for cell in table.pop("")]
  assert header[0] == "paper, CIFAR-10 FID" and "FD-digitscls" in header
  column = header.index("evaluations")
  evaluations = {name: cells[column].strip() for name, cells in table.items()}
  assert evaluations == {
    "---": "---:",
    "1 frame": "4",
    "1 frame, evaluations of 4 \N{DAGGER}": "12",
    "held-out data": "\N{EN DASH}",
  }
