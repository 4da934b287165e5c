"""The command: every mistake is one sentence; train, sample and evaluate."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import jax.monitoring
import numpy as np
import pytest

from configs import hvae
from pseudovideo import data, main
from pseudovideo.evaluation import feature_networks

ROOT = pathlib.Path(__file__).parents[1]
HVAE = f"--config={ROOT}/configs/hvae.py"
TINY = f"{HVAE}:preset=tiny"

# The programs of a run that take time to compile.
LARGE = {"jit(init)", "jit(step)", "jit(eval_step)", "jit(sample)"}
_compiled, _ever_compiled = [], set()


def _listen(event: str, seconds: float, fun_name: str = "", **kwargs) -> None:
  if event == "/jax/core/compile/backend_compile_duration":
    _compiled.append(fun_name)
    _ever_compiled.add(fun_name)


jax.monitoring.register_event_duration_secs_listener(_listen)


@pytest.fixture
def sentence(capsys):
  """Runs a command that must be refused; returns what it said."""

  def run(*argv):
    _compiled.clear()
    code = main.main(list(argv))
    out, said = capsys.readouterr()
    assert code == 2 and out == ""
    assert said.startswith("Error: ") and said.endswith("\n")
    assert said.count("\n") == 1 and "Traceback" not in said
    assert not LARGE & set(_compiled), "told before anything is compiled"
    return said.removeprefix("Error: ").rstrip("\n")

  return run


@pytest.fixture
def workdir(tmp_path):
  return tmp_path / "run"


def test_compilations_are_noticed(tiny_run):
  assert _ever_compiled >= LARGE


@pytest.mark.parametrize(
  ("override", "words"),
  [
    # Misspelt.
    ("train.stpes=3", ["'stpes'", "'steps'", "accumulate, batch_size"]),
    ("trian.steps=3", ["'trian'", "'train'", "data, evaluate"]),
    ("steps=3", ["'steps'", "data, evaluate"]),
    ("train.steps.x=3", ["train.steps.x", "'train.steps'"]),
    ("train=3", ["train is a section", "accumulate"]),
    # Of another type.
    ("train.steps=3.5", ["train.steps", "integer", "'3.5'"]),
    ("optimizer.ema_warmup=maybe", ["optimizer.ema_warmup", "'maybe'"]),
    ("optimizer.learning_rate=nan", ["optimizer.learning_rate", "nan"]),
    ("model.multipliers=(1, 1.5)", ["model.multipliers", "(1, 1.5)"]),
    # Unknown names.
    ("task.name=heat_vae", ["'heat_hvae'", "heat_hvae, image_diffusion"]),
    ("data.name=digit", ["'digits'", "celeb_a, cifar10, digits"]),
    ("data.name=digits:3", ["`videos:PATH`", "'digits'"]),
    ("data.name=folder:/no/such", ["/no/such", "folder"]),
    # Not together.
    ("model.multipliers=(1, 1, 1, 1, 1)", ["divisible by 16"]),
    ("train.batch_size=18", ["train.batch_size", "devices, 4", "18"]),
    ("train.accumulate=3", ["train.accumulate", "train.batch_size"]),
    ("train.accumulate=8", ["train.accumulate", "devices, 4"]),
    ("optimizer.warmup_steps=8", ["optimizer.warmup_steps", "train.steps"]),
  ],
)
def test_mistakes_in_a_field(sentence, workdir, override, words):
  """Relations only: `test_field_ranges` has what fields refuse alone."""
  answer = sentence(TINY, f"--workdir={workdir}", f"--config.{override}")
  assert all(word in answer for word in words) and answer.endswith(".")
  assert not workdir.exists()


@pytest.mark.parametrize(
  ("argv", "words"),
  [
    ([f"{HVAE}:preset=tny"], ["'tiny'", "paper, small, tiny"]),
    ([f"{HVAE}:tiny"], ["'tiny'", "dataset, encoder, network, preset"]),
    (["--config=configs/hvea.py"], ["configs/hvea.py"]),
    ([TINY, "--config.train.steps"], ["--config.train.steps", "value"]),
    (["--config.train.steps=3"], ["--config=FILE.py"]),
    ([TINY, "--modus=train"], ["'--mode'", "--config"]),
    ([TINY, "--mode=trian"], ["'train'", "evaluate, sample, train"]),
    ([TINY, "--mode=sample"], ["no checkpoint in"]),
    ([TINY, "--step=4"], ["--step", "--mode=sample", "--mode=evaluate"]),
    ([TINY, "--samples=x.npz"], ["--samples", "--mode=evaluate"]),
    (["--mode=sample", "--step=last"], ["--step", "'last'"]),
    ([], ["no checkpoint in"]),
    (["--mode=evaluate"], ["no checkpoint in", "--mode=train"]),
  ],
)
def test_mistakes_on_the_command_line(sentence, workdir, argv, words):
  answer = sentence(*argv, f"--workdir={workdir}")
  assert all(word in answer for word in words) and answer.endswith(".")
  assert not workdir.exists()


def test_the_workdir_must_be_said(sentence, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  for argv in ([TINY], [TINY, "--workdir="]):
    assert "--workdir=DIR" in sentence(*argv)
  assert not list(tmp_path.iterdir())


def test_a_missing_data_set_names_the_command(sentence, tmp_path):
  answer = sentence(
    f"{HVAE}:dataset=mnist,preset=tiny",
    f"--workdir={tmp_path}/run",
    f"--data_dir={tmp_path}/data",
  )
  assert answer.endswith(
    f"python -m pseudovideo.data.prepare mnist --data_dir={tmp_path}/data"
  )


def test_a_workdir_that_cannot_be(sentence, tmp_path):
  (tmp_path / "file").write_text("")
  for workdir in (tmp_path / "file", tmp_path / "file" / "run"):
    answer = sentence(TINY, f"--workdir={workdir}")
    assert str(workdir) in answer and "another workdir" in answer


def test_mistakes_beside_a_trained_run(sentence, tiny_run, tmp_path):
  # The first scores of a data set train its classifier, which is then kept.
  feature_networks.networks_for(data.load("digits"))
  at = f"--workdir={tiny_run}"
  evaluate = (at, "--mode=evaluate")
  np.savez(tmp_path / "few.npz", images=np.zeros((5, 8, 8, 1), np.uint8))
  few = f"--samples={tmp_path}/few.npz"
  (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04 and then nothing")
  said = {
    "step 4, step 8": sentence(at, "--mode=sample", "--step=3"),
    "got 0": sentence(at, "--mode=sample", "--num_samples=0"),
    "got 1": sentence(*evaluate, "--num_samples=1"),
    "bad.npz": sentence(*evaluate, f"--samples={tmp_path}/bad.npz"),
    "no.npz": sentence(*evaluate, "--samples=no.npz"),
    "only 5": sentence(*evaluate, few, "--num_samples=6"),
  }
  for expected, answer in said.items():
    assert expected in answer


def test_another_config_than_that_of_the_run(tiny_run, capsys):
  argv = [TINY, f"--workdir={tiny_run}", "--config.train.seed=1"]
  assert main.main(argv) == 2
  said = capsys.readouterr().err
  assert "train.seed is 1, was 0" in said and "another --workdir" in said
  assert "Traceback" not in said


def command(*argv):
  return subprocess.run(
    [sys.executable, "-m", "pseudovideo.main", *argv],
    cwd=ROOT,
    env=os.environ | {"JAX_PLATFORMS": "cpu"},
    capture_output=True,
    text=True,
    timeout=120,
    check=False,
  )


def test_a_mistake_of_a_real_process(tmp_path):
  done = command(TINY, f"--workdir={tmp_path}/run", "--config.train.stpes=3")
  assert done.returncode == 2
  assert "Traceback" not in done.stderr + done.stdout
  assert done.stderr.startswith("Error: ")
  assert "'stpes'" in done.stderr and done.stderr.count("\n") == 1
  assert not (tmp_path / "run").exists()


def test_help_lists_the_flags(capsys):
  assert main.main(["--help"]) == 0
  assert "--mode=sample" in capsys.readouterr().out


def test_the_same_command_without_a_config_finds_the_run_finished(
  tiny_run, tmp_path, capsys
):
  workdir = tmp_path / "run"
  shutil.copytree(tiny_run, workdir)
  before = saved_times(workdir)
  assert main.main([f"--workdir={workdir}"]) == 0
  assert "Trained 8 steps; the run is in" in capsys.readouterr().out
  assert before and saved_times(workdir) == before


def saved_times(workdir: pathlib.Path) -> dict[pathlib.Path, int]:
  """When each file of the checkpoints was written."""
  files = (workdir / "checkpoints").rglob("*")
  return {p: p.stat().st_mtime_ns for p in files if p.is_file()}


def test_sample_then_evaluate_what_was_sampled(tiny_run, tmp_path, capsys):
  """The config is nowhere but in the checkpoint."""
  workdir = tmp_path / "run"
  shutil.copytree(tiny_run, workdir)
  assert main.main([f"--workdir={workdir}", "--mode=sample"]) == 0
  assert f"32 samples of step 8 are in {workdir}" in capsys.readouterr().out
  for name in ("samples.png", "generated_videos.png"):
    assert (workdir / name).read_bytes().startswith(b"\x89PNG")
  with np.load(workdir / "samples.npz") as file:
    assert file["images"].shape == (32, 8, 8, 1)
    assert file["step"] == 8
  code = main.main(
    [
      f"--workdir={workdir}",
      "--mode=evaluate",
      f"--samples={workdir}/samples.npz",
      "--num_samples=20",
    ]
  )
  table = capsys.readouterr().out
  assert code == 0
  for word in ("generated", "held-out data", "FD-digitscls", "nearest-train"):
    assert word in table
  record = json.loads((workdir / "results.json").read_text())
  assert record["title"] == hvae.get_config("preset=tiny").title
  rows = record["metrics"]
  assert {m["num_samples"] for m in rows["generated"].values()} == {20}
