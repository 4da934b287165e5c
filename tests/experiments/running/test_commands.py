"""The command line of tables and figures."""

import pathlib

from configs import hvae
from experiments.rows import base
from experiments.running import commands

ROOT = pathlib.Path(__file__).parents[3]
HEAT = base.Row("heat", "fixed", hvae, {"encoder": "heat"})
TABLE = base.Table("toy", "A toy", "toys", (HEAT,))


MISTAKES = [
  ([], "first argument must be run or report; got ''"),
  (["draw"], "first argument must be run or report; got 'draw'"),
  (["run", "--rows=het"], "no row of toy named 'het'; did you mean 'heat'"),
  (["run", "--preset=large"], "no config argument preset named 'large'"),
  (["run", "--dataset=digit"], "did you mean 'digits'"),
  (["run", "--seeds=0,x"], "--seeds must be whole numbers"),
  (
    ["run", "--seeds=4294967296"],
    "train.seed must be an integer in [0, 4294967296)",
  ),
  (["run", "--format=md"], "no flag named '--format'"),
  (["report", "--dry-run"], "no flag named '--dry-run'"),
  (["report", "--format=html"], "no --format named 'html'"),
  (["run", f"--config={ROOT}/configs/hvae.py"], "have their own configs"),
]


def test_mistakes_are_sentences(tmp_path, monkeypatch, capsys):
  monkeypatch.chdir(tmp_path)
  for argv, said in MISTAKES:
    assert commands.table_main(TABLE, "A toy table.", argv) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("Error: ") and said in err
    assert err.count("\n") == 1
  assert not list(tmp_path.iterdir())


def test_help_names_every_flag(capsys):
  assert commands.table_main(TABLE, "A toy table.", ["--help"]) == 0
  out = capsys.readouterr().out
  assert out.startswith("A toy table.")
  for flag in ("rows", "dry-run", "publish", "results", "format", "data_dir"):
    assert flag in out
