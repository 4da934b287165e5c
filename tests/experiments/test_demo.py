"""The demo, as a visitor runs it."""

import contextlib
import io
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

from experiments import demo
from pseudovideo import (
  checkpoints,
  command_line,
  evaluate,
  results,
  sample_files,
  train,
)

ROOT = pathlib.Path(__file__).parents[2]


def run_demo(workdir: pathlib.Path) -> int:
  return demo.main(["--preset=tiny", f"--workdir={workdir}"])


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
  """Folder of a finished demo."""
  workdir = tmp_path_factory.mktemp("demo")
  assert run_demo(workdir) == 0
  return workdir


@pytest.fixture(scope="module")
def printed(finished) -> str:
  """What a demo prints that finds everything done."""
  out = io.StringIO()
  with contextlib.redirect_stdout(out):
    assert run_demo(finished) == 0
  return out.getvalue()


def rows(printed: str) -> dict[str, list[str]]:
  """First cell of each line of the table -> its other cells."""
  lines = [re.split(r"\s{2,}", line.strip()) for line in printed.splitlines()]
  return {cells[0]: cells[1:] for cells in lines if len(cells) > 3}


@pytest.mark.slow
def test_both_models_and_the_held_out_data_are_in_the_table(finished, printed):
  table = rows(printed)
  labels = [*demo.LABELS.values(), "held-out data"]
  assert [name for name in table if name in labels] == labels
  for encoder, label in demo.LABELS.items():
    record = results.read(finished / "tiny" / encoder / evaluate.RESULTS_FILE)
    cells = table[label]
    for name in ("generated", "real"):
      scores = [f"{m['value']:.3f}" for m in record["metrics"][name].values()]
      row = label if name == "generated" else "held-out data"
      assert table[row][: len(scores)] == scores
      assert table[row][len(scores)] == "32", "images"
    assert cells[-4] == f"{record['num_parameters']:,}"
    assert cells[-3:-1] == ["8", "128"], "steps and images seen"


@pytest.mark.slow
def test_the_last_line_names_the_report(finished, printed):
  last = printed.splitlines()[-1]
  report = pathlib.Path(last.removeprefix("Done. Open the report: "))
  assert report.is_absolute() and report == finished / "tiny" / "report.html"
  text = report.read_text()
  for word in (*demo.LABELS.values(), "Held-out data", "held-out data"):
    assert word in text
  assert not re.findall(r'(?:src|href)="(?!data:|#)', text)
  assert "digitscls" in printed, "the feature network is named"
  assert re.search(r"9[89]\.\d% accuracy on held-out", printed)


def times(workdir: pathlib.Path) -> dict[str, int]:
  """When each result, sample file and checkpoint was written."""
  kept = [
    path
    for path in workdir.rglob("*")
    if path.is_file()
    and (
      path.name in (evaluate.RESULTS_FILE, sample_files.NAME)
      or checkpoints.FOLDER in path.parts
    )
  ]
  return {str(path): path.stat().st_mtime_ns for path in kept}


@pytest.mark.slow
def test_what_is_finished_is_not_done_again(finished, monkeypatch):
  before = times(finished)
  assert len(before) > 8
  monkeypatch.setattr(evaluate, "evaluate", None)
  monkeypatch.setattr(evaluate, "draw", None)
  assert run_demo(finished) == 0
  assert times(finished) == before


@pytest.mark.slow
def test_scores_of_other_images_are_not_taken_for_its_own(
  finished, monkeypatch
):
  """After `main --mode=evaluate --samples=...` in the folder of a model."""
  workdir = finished / "tiny" / "heat"
  kept = (workdir / evaluate.RESULTS_FILE).read_text()
  record = results.read(workdir / evaluate.RESULTS_FILE)
  record["samples_file"] = {"name": "theirs.npz", "sha256": "0"}
  results.write(workdir / evaluate.RESULTS_FILE, record)
  monkeypatch.setattr(evaluate, "evaluate", lambda run: "evaluated anew")
  try:
    assert demo.run_row("heat", "tiny", workdir) == "evaluated anew"
  finally:
    (workdir / evaluate.RESULTS_FILE).write_text(kept)


@pytest.mark.parametrize(
  ("argv", "said"),
  [
    (["--preset=paper"], "no --preset named 'paper'. Choose one of: small, ti"),
    (["--presets=tiny"], "did you mean '--preset'"),
    (["--config.train.steps=3"], "no --config=FILE.py was given"),
    ([f"--config={ROOT}/configs/hvae.py"], "The demo has its own configs"),
    (["tiny"], "'tiny' is not a flag"),
  ],
)
def test_mistakes_are_sentences(argv, said, tmp_path, monkeypatch, capsys):
  monkeypatch.chdir(tmp_path)
  assert demo.main(argv) == 2
  out, err = capsys.readouterr()
  assert out == "" and err.startswith("Error: ") and said in err
  assert err.count("\n") == 1
  assert not list(tmp_path.iterdir())


def test_help_says_what_it_does(capsys):
  assert demo.main(["--help"]) == 0
  out = capsys.readouterr().out
  assert "The motivating experiment" in out and "--preset" in out


def test_a_stopped_training_ends_the_demo(tmp_path, monkeypatch, capsys):
  outcome = train.Outcome(3, signal.SIGTERM)
  monkeypatch.setattr(train, "train", lambda raw, workdir: outcome)
  assert run_demo(tmp_path) == 128 + signal.SIGTERM
  out = capsys.readouterr().out
  assert out.startswith("[1/2] ") and "[2/2]" not in out
  assert out.splitlines()[-1] == command_line.stop_sentence(outcome)


@pytest.mark.slow
def test_a_signal_during_training_saves_and_ends_quietly(tmp_path):
  """SIGTERM after the first steps; exit code 128 + 15."""
  process = subprocess.Popen(
    [sys.executable, "-m", "experiments.demo", f"--workdir={tmp_path}"],
    cwd=ROOT,
    env=os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONUNBUFFERED": "1"},
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )
  timer = threading.Timer(300, process.kill)
  timer.start()
  try:
    said = []
    for line in process.stderr:
      said.append(line)
      if re.search(r"step \d+/", line):
        break
    process.send_signal(signal.SIGTERM)
    out, rest = process.communicate()
  finally:
    timer.cancel()
    process.kill()
  said = "".join(said) + rest
  assert process.returncode == 128 + signal.SIGTERM, said
  assert "Traceback" not in said + out
  found = re.fullmatch(
    r"Stopped by SIGTERM at step (\d+), which is saved; the same command goes "
    r"on from there\.",
    out.splitlines()[-1],
  )
  step, parts, _ = checkpoints.load(tmp_path / "small" / "heat")
  assert step == int(found.group(1)) < 1600
  assert np.isfinite(parts["ema"]["stem"]["kernel"]).all()
  assert "Done." not in out
