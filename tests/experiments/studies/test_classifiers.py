"""Classifiers of the package: the command that trains them again."""

import json

import pytest

from experiments.studies import classifiers
from pseudovideo import data
from pseudovideo.pretrained import classifier_training, packaged

RECIPE = classifier_training.Recipe(steps=12, batch_size=32)


@pytest.fixture(name="out", scope="module")
def _out(tmp_path_factory):
  """What the command writes, with a tiny recipe."""
  folder = tmp_path_factory.mktemp("out")
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(classifier_training, "default_recipe", lambda _: RECIPE)
    assert classifiers.main(["--names=digits", f"--out={folder}"]) == 0
  return folder


def test_what_it_writes_is_what_the_package_reads(out, monkeypatch):
  monkeypatch.setattr(packaged, "FOLDER", out)
  found = packaged.find(data.load("digits"))
  log = json.loads((out / "digits.json").read_text())
  assert {path.name for path in out.iterdir()} == {log["file"], "digits.json"}
  assert log.items() >= found.facts.items()
  assert log["recipe"]["steps"] == RECIPE.steps
  assert log["provenance"]["packages"] == log["packages"]
  assert log["seconds"] > 0 and log["train_loss"] > 0


def test_training_again_gives_the_same_file(out, tmp_path, monkeypatch):
  monkeypatch.setattr(classifier_training, "default_recipe", lambda _: RECIPE)
  assert classifiers.main(["--names=digits", f"--out={tmp_path}"]) == 0
  (one,), (two,) = (path.glob("*.safetensors") for path in (out, tmp_path))
  assert one.name == two.name and one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize("name", classifiers.CLASSIFIERS)
def test_the_package_holds_what_the_logs_say(name):
  log = json.loads((classifiers.LOGS / f"{name}.json").read_text())
  facts = packaged.read(packaged.FOLDER / log["file"]).facts
  assert log.items() >= facts.items()
  assert (log["data"], log["binarize"]) == classifiers.CLASSIFIERS[name]


def test_mistakes_are_one_sentence(tmp_path, capsys):
  for argument in ("--names=digit", "--names=", "--config=a.py"):
    assert classifiers.main([argument, f"--out={tmp_path}"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
  assert not list(tmp_path.iterdir())
