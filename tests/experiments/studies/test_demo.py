"""The demo, as a visitor runs it."""

import contextlib
import io
import pathlib
import re
import signal

import pytest

from configs import hvae
from experiments.studies import demo
from pseudovideo.evaluation import evaluate
from pseudovideo.runs import checkpoints, results, sample_files
from pseudovideo.terminal import command_line
from pseudovideo.training import loop

ROOT = pathlib.Path(__file__).parents[3]


def run_demo(workdir: pathlib.Path) -> int:
  return demo.main(["--preset=tiny", f"--workdir={workdir}"])


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
  """Folder of a finished demo, with networks that are compiled quickly."""
  make = hvae.get_config

  def shallow(argument):
    config = make(argument)
    config.task.levels = 2
    config.model.update(dict(multipliers=(1,), attention=()))
    return config

  workdir = tmp_path_factory.mktemp("demo")
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(hvae, "get_config", shallow)
    assert run_demo(workdir) == 0
    yield workdir


@pytest.fixture(scope="module")
def printed(finished) -> str:
  """The output of a demo that finds everything done."""
  out = io.StringIO()
  with contextlib.redirect_stdout(out):
    assert run_demo(finished) == 0
  return out.getvalue()


def rows(printed: str) -> dict[str, list[str]]:
  """First cell of each line of the table -> its other cells."""
  lines = [re.split(r"\s{2,}", line.strip()) for line in printed.splitlines()]
  return {cells[0]: cells[1:] for cells in lines if len(cells) > 3}


@pytest.mark.slow("trains two models and scores them")
def test_both_models_and_the_held_out_data_are_shown(finished, printed):
  table = rows(printed)
  labels = [*demo.LABELS.values(), "held-out data"]
  assert [name for name in table if name in labels] == labels
  for encoder, label in demo.LABELS.items():
    record = results.read(finished / "tiny" / encoder / evaluate.RESULTS_FILE)
    cells = table[label]
    for name in ("generated", "real"):
      scores = [
        f"{score['value']:.3f}"
        for metric, score in record["metrics"][name].items()
        if metric in demo.SCORES
      ]
      row = label if name == "generated" else "held-out data"
      assert scores and table[row][: len(scores)] == scores
      assert table[row][len(scores)] == "32", "images"
    assert cells[-4] == f"{record['num_parameters']:,}"
    assert cells[-3:-1] == ["8", "128"], "steps and images seen"
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


@pytest.mark.slow("trains two models and scores them")
def test_what_is_finished_is_not_done_again(finished, monkeypatch):
  before = times(finished)
  assert len(before) > 8
  monkeypatch.setattr(evaluate, "evaluate", None)
  monkeypatch.setattr(evaluate, "draw", None)
  assert run_demo(finished) == 0
  assert times(finished) == before
  # Scores of other images are not taken for its own, after `main
  # --mode=evaluate --samples=...` in the folder of a model.
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


def test_mistakes_are_sentences(tmp_path, monkeypatch, capsys):
  monkeypatch.chdir(tmp_path)
  for argv, said in [
    (["--preset=paper"], "no --preset named 'paper'. Choose one of: small, ti"),
    (["--presets=tiny"], "did you mean '--preset'"),
    (["--config.train.steps=3"], "has its own configs; leave --config out."),
    ([f"--config={ROOT}/configs/hvae.py"], "The demo has its own configs"),
    (["tiny"], "'tiny' is not a flag"),
  ]:
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
  outcome = loop.Outcome(3, signal.SIGTERM)
  monkeypatch.setattr(loop, "train", lambda raw, workdir: outcome)
  assert run_demo(tmp_path) == 128 + signal.SIGTERM
  out = capsys.readouterr().out
  assert out.startswith("[1/2] ") and "[2/2]" not in out
  assert out.splitlines()[-1] == command_line.stop_sentence(outcome)
