"""Which run is done when, and by whom; with trainings that take no time."""

import json
import os
import platform
import signal
import types

import numpy as np
import pytest

from configs import hvae, video_diffusion
from experiments.rows import base
from experiments.running import commands, runner, work
from pseudovideo import errors
from pseudovideo.evaluation import evaluate
from pseudovideo.files import locks
from pseudovideo.runs import checkpoints, owning, results
from pseudovideo.terminal import command_line
from pseudovideo.training import loop
from tests import processes

HEAT = base.Row(
  "heat", "fixed", hvae, {"encoder": "heat"}, seeds={"tiny": (0, 7)}
)
LEARNED = base.Row("learned", "free", hvae, {"encoder": "learned"})
FEWER = base.Row(
  "fewer",
  "fixed, fewer samples",
  hvae,
  {"encoder": "heat"},
  overrides={"evaluate.num_samples": 8},
  weights_from={"tiny": HEAT},
)
TABLE = base.Table("toy", "A toy", "toys", (FEWER, LEARNED, HEAT))


def job(row, seed=0, preset="tiny"):
  return base.Job(row, "digits", preset, seed)


@pytest.fixture
def done(monkeypatch, write_finished):
  """Names of runs in the order in which the runner did them."""
  names = []

  def do(job, root, *, data_dir=None):
    assert job.source is None or job.source.name in names
    names.append(job.name)
    return write_finished(job, root)

  monkeypatch.setattr(work, "do", do)
  monkeypatch.setattr(runner, "POLL_SECONDS", 0.01)
  return names


def run(root, *arguments):
  argv = ["run", "--preset=tiny", f"--root={root}", *arguments]
  return commands.table_main(TABLE, "A toy table.", argv)


def test_first_seeds_first_and_sources_before_what_samples_them(tmp_path, done):
  assert run(tmp_path) == 0
  assert done == ["heat-seed0", "fewer-seed0", "learned-seed0", "heat-seed7"]


def test_rows_and_seeds_can_be_chosen(tmp_path, done):
  assert run(tmp_path, "--rows=fewer", "--seeds=3,2") == 0
  assert done == ["heat-seed3", "fewer-seed3", "heat-seed2", "fewer-seed2"]


def test_what_is_done_is_left_alone(tmp_path, done, write_finished, capsys):
  write_finished(job(HEAT), tmp_path)
  done.append("heat-seed0")
  assert run(tmp_path, "--rows=heat,fewer") == 0
  assert done == ["heat-seed0", "fewer-seed0", "heat-seed7"]
  capsys.readouterr()
  assert run(tmp_path, "--rows=heat,fewer") == 0
  assert len(done) == 3
  assert capsys.readouterr().out.count(": done\n") == 3


@pytest.mark.parametrize(
  "change",
  [
    lambda record: record["config"]["evaluate"].update(num_samples=9),
    lambda record: record["config"]["model"].update(channels=9),
    lambda record: record.update(step=1),
    lambda record: record.update(samples_file={"name": "a", "sha256": "0"}),
    lambda record: record["metrics"]["generated"]["FD-x"].update(num_samples=4),
    lambda record: record["seeds"].update(sample=5),
    lambda record: record["seeds"].pop("sample"),
    lambda record: record["metrics"].pop("generated"),
    lambda record: record.update(config={}),
  ],
)
def test_results_of_anything_else_are_not_taken(
  tmp_path, done, write_finished, change, capsys
):
  record = write_finished(job(LEARNED), tmp_path)
  assert work.results_of(job(LEARNED), tmp_path) == json.loads(
    json.dumps(record)
  )
  change(record)
  path = job(LEARNED).workdir(tmp_path) / evaluate.RESULTS_FILE
  results.write(path, record)
  assert work.results_of(job(LEARNED), tmp_path) is None
  assert run(tmp_path, "--rows=learned") == 0
  assert done == ["learned-seed0"]
  assert ": to do, scored otherwise, so again (" in capsys.readouterr().out


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "9" * 10_000, "\0"])
def test_broken_results_are_redone_and_other_rows_go_on(
  tmp_path, done, write_finished, content, capsys
):
  write_finished(job(HEAT), tmp_path)
  write_finished(job(LEARNED), tmp_path)
  path = job(HEAT).workdir(tmp_path) / evaluate.RESULTS_FILE
  path.write_text(content)
  assert run(tmp_path, "--rows=heat,learned", "--seeds=0") == 0
  assert done == ["heat-seed0"]
  assert str(path) in capsys.readouterr().out


def test_what_changes_no_number_changes_nothing(tmp_path, write_finished):
  record = write_finished(job(LEARNED), tmp_path)
  record["config"]["evaluate"]["batch_size"] = 3
  record["config"]["train"]["log_every"] = 3
  record["config"]["title"] = "another"
  path = job(LEARNED).workdir(tmp_path) / evaluate.RESULTS_FILE
  results.write(path, record)
  assert work.results_of(job(LEARNED), tmp_path) is not None


def checkpoint(root, made, step, **train_fields):
  """A checkpoint of a run as the trainer would have left it."""
  config = json.loads(json.dumps(made.config.raw))
  config["train"].update(train_fields)
  store = checkpoints.Checkpoints(made.workdir(root) / checkpoints.FOLDER)
  state = {"ema": {"w": np.zeros(2)}, "extra": {}}
  store.save(step, state, config=config, wait=True)
  store.close()


def test_a_dry_run_lists_states_and_touches_nothing(
  tmp_path, done, write_finished, capsys
):
  write_finished(job(HEAT), tmp_path)
  checkpoint(tmp_path, job(HEAT, 7), 3)
  checkpoint(tmp_path, job(LEARNED), 8)
  before = sorted(tmp_path.rglob("*"))
  with locks.hold(tmp_path / "digits-tiny" / "heat-seed7" / owning.LOCK_FILE):
    assert run(tmp_path, "--dry-run") == 0
  out = capsys.readouterr().out
  me = f"process {os.getpid()} on {platform.node()}"
  assert [" ".join(line.split()) for line in out.splitlines()] == [
    "row seed state",
    "heat 0 done",
    "fewer 0 missing; samples heat-seed0",
    "learned 0 not scored",
    f"heat 7 step 3 of 8 ({me} works on it)",
  ]
  after = sorted(p for p in tmp_path.rglob("*") if p.name != owning.LOCK_FILE)
  assert after == before and not done
  assert run(tmp_path / "none", "--dry-run") == 0
  assert not (tmp_path / "none").exists()


def test_a_run_with_another_config_is_refused_before_anything_is_done(
  tmp_path, done, capsys
):
  checkpoint(tmp_path, job(HEAT, 7), 3, batch_size=32)
  assert run(tmp_path) == 2
  err = capsys.readouterr().err
  assert "heat-seed7 holds a run with another config: train.batch" in err
  assert "was 32. Move it away, or give another --root." in err
  assert not done


def test_a_run_that_is_longer_is_refused(tmp_path, done, capsys):
  one = base.Row("one", "one", video_diffusion, {"frames": 1})
  checkpoint(tmp_path, job(one), 9, steps=9)
  with pytest.raises(errors.UserError, match="steps is 6, and 9 are done"):
    runner.run([job(one)], tmp_path)
  assert not done


def test_a_row_of_a_process_that_dies_is_picked_up_at_the_end(
  tmp_path, done, monkeypatch, capsys
):
  quick = work.do
  lock = job(HEAT).workdir(tmp_path) / owning.LOCK_FILE
  with processes.holding(lock) as process:

    def do(job, root, **options):
      if job.name == "heat-seed7":
        process.kill()
        process.wait()
      return quick(job, root, **options)

    monkeypatch.setattr(work, "do", do)
    assert run(tmp_path) == 0
    assert done == ["learned-seed0", "heat-seed7", "heat-seed0", "fewer-seed0"]
    said = f"process {process.pid} on {platform.node()} works on it, later"
    assert capsys.readouterr().out.count(said) == 1


def test_what_another_process_finishes_is_not_done_again(
  tmp_path, done, monkeypatch, write_finished
):
  lock = job(LEARNED).workdir(tmp_path) / owning.LOCK_FILE
  naps = []
  with processes.holding(lock) as process:

    def sleep(seconds):
      naps.append(seconds)
      if len(naps) == 2:
        write_finished(job(LEARNED), tmp_path)
        process.kill()
        process.wait()

    clock = types.SimpleNamespace(sleep=sleep)
    monkeypatch.setattr(runner, "time", clock)
    assert run(tmp_path, "--rows=learned,heat") == 0
  assert done == ["heat-seed0", "heat-seed7"] and len(naps) == 2


def test_a_run_that_cannot_go_on_does_not_keep_others_from_it(
  tmp_path, done, monkeypatch, capsys
):
  quick = work.do

  def do(job, root, **options):
    if job.name == "heat-seed0":
      raise errors.RunError("The loss is nan.")
    return quick(job, root, **options)

  monkeypatch.setattr(work, "do", do)
  assert run(tmp_path) == 1
  assert done == ["learned-seed0", "heat-seed7"]
  err = capsys.readouterr().err
  assert err.splitlines() == [
    "Error: The loss is nan.",
    "Not finished: fewer-seed0, heat-seed0.",
  ]
  monkeypatch.setattr(work, "do", quick)
  assert run(tmp_path) == 0
  assert done[2:] == ["heat-seed0", "fewer-seed0"]


def test_a_signal_ends_with_the_step_and_its_number(
  tmp_path, monkeypatch, capsys
):
  outcome = loop.Outcome(3, signal.SIGTERM)
  given = []
  monkeypatch.setattr(
    loop, "train", lambda *a, **options: given.append(options) or outcome
  )
  assert run(tmp_path, "--data_dir=there") == 128 + signal.SIGTERM
  assert given == [{"data_dir": "there", "owned": True}], (
    "no other row was begun"
  )
  last = capsys.readouterr().out.splitlines()[-1]
  assert last == command_line.stop_sentence(outcome)
  assert locks.holder(job(HEAT).workdir(tmp_path) / owning.LOCK_FILE) is None


def test_finished_rows_are_published_below_their_family(tmp_path, done):
  for _ in range(2):
    assert run(tmp_path / "runs", f"--publish={tmp_path / 'kept'}") == 0
    found = sorted(p for p in (tmp_path / "kept").rglob("*") if p.is_file())
    folder = tmp_path / "kept" / "toys" / "digits-tiny"
    assert found == [folder / f"{name}.json" for name in sorted(done)]
    record = results.read(folder / "heat-seed7.json")
    assert record["config"]["train"]["seed"] == 7
    found[0].unlink()  # The second time it comes from a row that was done.
