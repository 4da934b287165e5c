"""`python -m experiments`: what it lists, hands on, and refuses."""

import csv
import io
import pathlib
import types

import pytest

from experiments import __main__ as front
from experiments import registry
from experiments.paper import table3
from experiments.reporting import tables
from pseudovideo import errors


def test_everything_of_the_paper_is_there():
  paper = {f"table{n}" for n in (1, 3, 4, 5, 6)}
  paper |= {"table2_reconstruction", "table2_generation"}
  paper |= {f"figure{n}" for n in range(2, 8)}
  assert paper < set(registry.NAMES)


def test_every_name_has_a_line_and_a_command(capsys):
  assert front.main(["list"]) == 0
  lines = capsys.readouterr().out.splitlines()[: len(registry.NAMES)]
  assert [line.split()[0] for line in lines] == list(registry.NAMES)
  for name, line in zip(registry.NAMES, lines, strict=True):
    assert callable(registry.module(name).main)
    assert len(line.removeprefix(name).strip()) > 20
    own = f"python -m experiments run {name}"
    assert own in registry.module(name).__doc__ or name == "generated"


def test_no_command_is_left_out(capsys):
  """Every module that can be run by itself is listed."""
  assert front.main(["list"]) == 0
  said = capsys.readouterr().out
  folder = pathlib.Path(front.__file__).parent
  scripts = {
    path.stem if path.stem != "__main__" else path.parent.name
    for path in folder.rglob("*.py")
    if '__name__ == "__main__"' in path.read_text()
  }
  assert scripts - {"experiments", "readme"} == set(registry.OTHERS)
  for name in registry.OTHERS:
    assert f"python -m experiments.{name} " in said


def test_tables_are_those_whose_rows_are_scored():
  found = registry.tables()
  assert found["table3"] is table3.TABLE
  assert {"frame_sweep", "ivvae_ablation", "latent_diffusion"} < set(found)
  assert not [name for name in found if name.startswith(("figure", "gener"))]


def test_a_name_s_own_command_gets_the_rest(monkeypatch):
  seen = []
  module = types.SimpleNamespace(main=lambda argv: seen.append(argv) or 7)
  monkeypatch.setattr(registry, "module", lambda name: module)
  assert front.main(["run", "table3", "--rows=a", "--workers=1"]) == 7
  assert front.main(["report", "table3", "--format=md"]) == 7
  assert front.main(["initial", "ivvae_ablation"]) == 7
  assert seen == [
    ["run", "--rows=a"],
    ["report", "--format=md"],
    ["initial"],
  ]


MISTAKES = [
  (["run"], "the second a name that list shows; got 'run'"),
  (["run", "--preset=tiny"], "the second a name that list shows"),
  (["run", "tabel3"], "no table or figure named 'tabel3'; did you mean"),
  (["draw", "table3"], "first argument must be run or report; got 'draw'"),
  (["list", "table3"], "list takes no arguments; got 'table3'"),
  (["run", "table3", "--workers=0"], "--workers must be at least 1; got '0'"),
  (["submit", "figure3"], "figure3 has no rows to submit"),
  (["submit", "table3", "--gpu=1"], "no flag named '--gpu'"),
  (["report", "--result=x"], "no flag named '--result'"),
  (["report", "--results=nothing"], "no results of any table in nothing"),
]


def test_mistakes_are_sentences(tmp_path, monkeypatch, capsys):
  monkeypatch.chdir(tmp_path)
  for argv, said in MISTAKES:
    assert front.main(argv) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("Error: ") and said in err
    assert err.count("\n") == 1
  assert not list(tmp_path.iterdir())


def test_help(capsys):
  for argv in [], ["--help"]:
    assert front.main(argv) == 0
    said = capsys.readouterr().out
    assert all(f"python -m experiments {verb}" in said for verb in front.VERBS)


def test_values_with_commas_are_quoted_and_dashes_are_empty():
  text = tables.as_csv(
    ["", "FID", "seconds"], [["4 frames, noise", tables.NOTHING, "1,200"]]
  )
  assert list(csv.reader(io.StringIO(text))) == [
    ["", "FID", "seconds"],
    ["4 frames, noise", "", "1,200"],
  ]


def test_unknown_names_raise():
  with pytest.raises(errors.UserError, match="figure2"):
    registry.module("figur2")
