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
from pseudovideo import main

ROOT = pathlib.Path(__file__).parents[1]
HVAE = f"--config={ROOT}/configs/hvae.py"
TINY = f"{HVAE}:preset=tiny"
LEARNED = f"{HVAE}:preset=tiny,encoder=learned"

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
  ("override", "said"),
  [
    # Misspelt.
    (
      "train.stpes=3",
      "did you mean 'steps'? Choose one of: accumulate, batch_",
    ),
    ("trian.steps=3", "did you mean 'train'? Choose one of: data, evaluate, m"),
    ("steps=3", "no field of the config named 'steps'. Choose one of: data"),
    ("train.steps.x=3", "train.steps is a value, 8, and has no field 'x'"),
    ("train=3", "train is a section; set one of its fields: accumulate"),
    # Of another type.
    ("train.steps=3.5", "train.steps must be an integer, like 8; got '3.5'"),
    ("train.steps=many", "train.steps must be an integer, like 8; got 'many'"),
    ("optimizer.ema_warmup=maybe", "must be True or False, like True; got 'ma"),
    ("optimizer.learning_rate=fast", "must be a finite number, like 0.002; go"),
    ("optimizer.learning_rate=nan", "must be a finite number; got nan"),
    ("model.multipliers=(1, 'a')", "values that are each an integer; got (1,"),
    ("model.multipliers=(1, 1.5)", "values that are each an integer; got (1,"),
    ("model.multipliers=x", "tuple of values that are each an integer; got"),
    # Unknown names.
    ("task.name=heat_vae", "'heat_hvae'? Choose one of: heat_hvae, image_d"),
    ("data.name=digit", "'digits'? Choose one of: celeb_a, cifar10, digits,"),
    ("data.name=digits:3", "`videos:PATH` may have; write 'digits'"),
    ("data.name=folder:/no/such", "names no folder that exists; write `folder"),
    ("data.binarize=bern", "'bernoulli'? Choose one of: bernoulli, none, thr"),
    ("optimizer.schedule=cosin", "'cosine'? Choose one of: constant, cosine,"),
    ("model.dtype=float16", "'bfloat16'? Choose one of: bfloat16, float32"),
    ("model.conditioning=film", "Choose one of: additive, scale_shift"),
    # Out of range, or not together.
    ("model.multipliers=(1, 1, 1, 1, 1)", "sides must be divisible by 16; got"),
    ("model.multipliers=()", "needs at least one level"),
    ("model.attention=(5,)", "levels 0 to 1 of model.multipliers; got (5,)"),
    ("model.channels=12", "even multiple of model.groups; got channels=12"),
    ("train.batch_size=18", "multiple of the number of devices, 4; got 18"),
    ("train.accumulate=3", "train.accumulate must divide train.batch_size"),
    ("train.accumulate=8", "multiple of the number of devices, 4; got 2"),
    ("train.steps=0", "train.steps must be at least 1; got 0"),
    ("train.seed=-1", "train.seed must lie in [0, 2**32); got -1"),
    ("optimizer.warmup_steps=8", "smaller than train.steps; got 8 and 8"),
    ("evaluate.num_samples=1", "evaluate.num_samples must be at least 2"),
    ("task.sigma_min=30", "0 < task.sigma_min < task.sigma_max; got 30.0"),
  ],
)
def test_mistakes_in_a_field(sentence, workdir, override, said):
  answer = sentence(TINY, f"--workdir={workdir}", f"--config.{override}")
  assert said in answer and answer.endswith(".")
  assert not workdir.exists()


@pytest.mark.parametrize(
  ("override", "said"),
  [
    ("encoder.channels=3", "even multiple of encoder.groups; got channels=3"),
    ("encoder.dtype=half", "Choose one of: bfloat16, float32"),
    ("encoder.max_log_sigma=-3", "must lie between encoder.min_log_sigma and"),
    ("task.scan=fast", "Choose one of: auto, remat, unroll"),
    ("task.decoder_levels=some", "Choose one of: all, one"),
    ("task.initial_sigma=3", "must lie in [0.001, 2]; got 3.0"),
  ],
)
def test_mistakes_in_a_field_of_the_learned_one(
  sentence, workdir, override, said
):
  answer = sentence(LEARNED, f"--workdir={workdir}", f"--config.{override}")
  assert said in answer and answer.endswith(".")
  assert not workdir.exists()


@pytest.mark.parametrize(
  ("argv", "said"),
  [
    ([f"{HVAE}:preset=tny"], "'tiny'? Choose one of: paper, small, tiny"),
    ([f"{HVAE}:encoder=free"], "Choose one of: heat, learned"),
    ([f"{HVAE}:dataset=mnst"], "'mnist'? Choose one of: celeb_a, cifar10"),
    ([f"{HVAE}:tiny"], "config argument named 'tiny'. Choose one of: dataset"),
    (["--config=configs/hvea.py"], "There is no config file 'configs/hvea.py'"),
    (["--config=README.md"], "'README.md'"),
    (["--config"], "--config needs a value"),
    ([TINY, "--config.train.steps"], "needs a value, as in --config.train.st"),
    (
      [TINY, "--config.train.steps", "x"],
      "must be an integer, like 8; got 'x'",
    ),
    (["--config.train.steps=3"], "changes a config, but no --config=FILE.py"),
    (
      [TINY, "--modus=train"],
      "'--mode'? Choose one of: --config, --coordinator_address",
    ),
    ([TINY, "--mode=trian"], "'train'? Choose one of: evaluate, sample, train"),
    ([TINY, "train"], "'train' is not a flag; flags look like"),
    ([TINY, "--mode=sample"], "There is no checkpoint in"),
    ([TINY, "--step=4"], "--step is for --mode=sample and --mode=evaluate"),
    ([TINY, "--samples=x.npz"], "--samples is for --mode=evaluate; leave it"),
    (["--mode=sample", "--samples=x.npz"], "is for --mode=evaluate; leave"),
    (["--mode=sample", "--step=last"], "--step must be an integer; got 'last'"),
    ([], "There is no checkpoint in"),
    (["--mode=sample"], "There is no checkpoint in"),
    (["--mode=evaluate"], "or train one with --mode=train"),
  ],
)
def test_mistakes_on_the_command_line(sentence, workdir, argv, said):
  answer = sentence(*argv, f"--workdir={workdir}")
  assert said in answer and answer.endswith(".")
  assert not workdir.exists()


@pytest.mark.parametrize("argv", [[TINY], [TINY, "--workdir="]])
def test_the_workdir_must_be_said(sentence, argv, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  assert sentence(*argv) == "Say where the run is, with --workdir=DIR."
  assert not list(tmp_path.iterdir())


def test_a_missing_data_set_names_the_command(sentence, tmp_path):
  answer = sentence(
    f"{HVAE}:dataset=mnist,preset=tiny",
    f"--workdir={tmp_path}/run",
    f"--data_dir={tmp_path}/data",
  )
  assert answer.endswith(
    "to download it and write it there, run: python -m "
    f"pseudovideo.data.prepare mnist --data_dir={tmp_path}/data"
  )


def test_a_workdir_that_cannot_be(sentence, tmp_path):
  (tmp_path / "file").write_text("")
  for workdir in (tmp_path / "file", tmp_path / "file" / "run"):
    answer = sentence(TINY, f"--workdir={workdir}")
    assert "cannot be created" in answer
    assert answer.endswith("choose another workdir.")


def test_mistakes_beside_a_trained_run(sentence, tiny_run, tmp_path):
  at = f"--workdir={tiny_run}"
  evaluate = (at, "--mode=evaluate")
  np.savez(tmp_path / "few.npz", images=np.zeros((5, 8, 8, 1), np.uint8))
  few = f"--samples={tmp_path}/few.npz"
  (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04 and then nothing")
  said = {
    "there are 4, 8.": sentence(at, "--mode=sample", "--step=3"),
    "at least 1; got 0.": sentence(at, "--mode=sample", "--num_samples=0"),
    "2 for scores; got 1.": sentence(*evaluate, "--num_samples=1"),
    "File is not a zip file.": sentence(
      *evaluate, f"--samples={tmp_path}/bad.npz"
    ),
    "No such file or directory": sentence(*evaluate, "--samples=no.npz"),
    "6 samples were to be scored but only 5": sentence(
      *evaluate, few, "--num_samples=6"
    ),
  }
  for expected, answer in said.items():
    assert expected in answer


def test_another_config_than_that_of_the_run(tiny_run, capsys):
  argv = [TINY, f"--workdir={tiny_run}", "--config.train.seed=1"]
  assert main.main(argv) == 2
  said = capsys.readouterr().err
  assert "another config: train.seed is 1, was 0. Use another --workdir" in said
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


@pytest.mark.parametrize("argument", ["--config.train.stpes=3", "--mode=trian"])
def test_mistakes_of_a_real_process(tmp_path, argument):
  done = command(TINY, f"--workdir={tmp_path}/run", argument)
  assert done.returncode == 2
  assert "Traceback" not in done.stderr + done.stdout
  assert done.stderr.startswith("Error: There is no ")
  assert "did you mean" in done.stderr and done.stderr.count("\n") == 1
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
