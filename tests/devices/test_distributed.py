"""Two and more processes train as one does, and end together."""

import json
import pathlib
import re
import shutil
import signal
import textwrap
import time

import jax
import numpy as np
import pytest
from absl import flags

from pseudovideo import errors, main
from pseudovideo.devices import distributed
from pseudovideo.runs import checkpoints
from tests import processes

PARTS = ("params", "ema", "opt_state", "extra")
# Adam makes equal steps out of rounding errors, unless eps is large.
ARGUMENTS = (
  "--mode=train",
  "--config=configs/hvae.py:preset=tiny",
  "--config.train.batch_size=16",
  "--config.train.log_every=1",
  "--config.train.save_every=2",
  "--config.optimizer.eps=0.1",
)


def command(workdir, *more, steps=4):
  return [
    *ARGUMENTS,
    f"--workdir={workdir}",
    f"--config.train.steps={steps}",
    f"--config.train.eval_every={steps}",
    *more,
  ]


def losses(workdir):
  lines = pathlib.Path(workdir, "metrics.jsonl").read_text().splitlines()
  rows = map(json.loads, lines)
  return {(row["split"], row["step"]): row["loss"] for row in rows}


def assert_same_losses(one, other):
  one, other = losses(one), losses(other)
  assert one.keys() == other.keys()
  np.testing.assert_allclose(
    list(one.values()), list(other.values()), rtol=2e-5
  )


def assert_same_weights(one, other, **tolerance):
  first, second = (checkpoints.load(run, parts=PARTS) for run in (one, other))
  assert first[0] == second[0]
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, **tolerance),
    first[1],
    second[1],
  )


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
  """Four steps of one process with four devices."""
  workdir = tmp_path_factory.mktemp("alone")
  assert main.main(command(workdir)) == 0
  return workdir


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
  """The same of two processes with two devices each."""
  workdir = tmp_path_factory.mktemp("pair")
  processes.run(2, command(workdir))
  return workdir


@pytest.mark.slow("trains in two processes")
def test_two_processes_train_as_one(alone, pair):
  assert_same_losses(alone, pair)
  assert_same_weights(alone, pair, rtol=1e-4, atol=1e-6)
  for picture in sorted(path.name for path in alone.glob("images/**/*.png")):
    assert list(pair.glob(f"images/**/{picture}"))


@pytest.mark.slow("trains in two processes")
def test_one_process_goes_on_from_two(alone, pair, tmp_path):
  workdir = first_half(pair, tmp_path)
  assert main.main(command(workdir)) == 0
  assert_same_losses(alone, workdir)


@pytest.mark.slow("trains in two processes")
def test_cut_states_train_as_whole_ones_do(alone, tmp_path):
  """Two processes with FSDP; four and one go on from what they saved."""
  processes.run(2, command(tmp_path / "two", "--config.train.fsdp=True"))
  assert_same_losses(alone, tmp_path / "two")
  assert_same_weights(alone, tmp_path / "two", rtol=1e-4, atol=1e-6)
  for num, devices in ((4, 1), (1, 4)):
    workdir = first_half(tmp_path / "two", tmp_path / str(num))
    processes.run(
      num, command(workdir, "--config.train.fsdp=True"), devices=devices
    )
    assert_same_losses(alone, workdir)


@pytest.mark.slow("trains in two processes")
def test_models_of_tokens_train_in_two_processes(tiny_tokenizer_run, tmp_path):
  """Each encodes the data set for itself; the state holds the tokenizer."""
  common = [
    "--mode=train", "--config=configs/token_prior.py:preset=tiny",
    f"--config.tokenizer.workdir={tiny_tokenizer_run}",
    "--config.train.log_every=1", "--config.optimizer.eps=0.1",
  ]  # fmt: skip
  processes.run(2, [*common, f"--workdir={tmp_path / 'two'}"])
  assert main.main([*common, f"--workdir={tmp_path / 'one'}"]) == 0
  assert_same_losses(tmp_path / "one", tmp_path / "two")


def first_half(run, folder):
  """A copy of a run without its last checkpoint."""
  workdir = folder / "run"
  shutil.copytree(run, workdir)
  shutil.rmtree(workdir / checkpoints.FOLDER / "4")
  return workdir


def dying(dead, step):
  """The command; process `dead` is killed by itself after a step."""
  hook = f"""
    should_stop = distributed.should_stop
    def stop_or_die(step):
      if step == {step} and jax.process_index() == {dead}:
        die()
      return should_stop(step)
    distributed.should_stop = stop_or_die
    """
  return f"{processes.SET_UP}{textwrap.dedent(hook)}{processes.RUN}"


def assert_the_other_ends(started, dead):
  """Ends with the sentence that says what happened."""
  codes, outputs = processes.finish(started, timeout=240)
  assert codes[dead] == -signal.SIGKILL, outputs
  assert codes[1 - dead] not in (0, None)
  assert "another task died" in outputs[1 - dead], outputs[1 - dead]


@pytest.mark.slow("trains in two processes")
@pytest.mark.parametrize("dead", [0, 1])
def test_a_broken_connection_ends_as_a_missing_heartbeat_does(dead):
  """The process dies while the other one waits for its numbers."""
  code = f"""{processes.SET_UP}
values = flags.FlagValues()
distributed.define_flags(values)
values(sys.argv)
def exchange():
  distributed.start(values)
  for number in range(10**6):
    distributed.agree("number", number)
    if number == 20 and jax.process_index() == {dead}:
      die()
sys.exit(distributed.exit_code(exchange))
"""
  started = processes.start(2, [], code=code)
  assert_the_other_ends(started, dead)


@pytest.mark.slow("trains in two processes")
def test_the_others_end_when_the_first_process_dies(tmp_path):
  """Process 0 runs the coordination service itself."""
  started = processes.start(
    2, command(tmp_path, steps=1000), code=dying(dead=0, step=3)
  )
  assert_the_other_ends(started, 0)


@pytest.mark.slow("trains in two processes")
def test_a_process_dies_and_the_restart_resumes(tmp_path):
  workdir, undisturbed = tmp_path / "run", tmp_path / "undisturbed"
  # What step 4 saves is on disk before step 6 is.
  started = processes.start(
    2, command(workdir, steps=8), code=dying(dead=1, step=7)
  )
  assert_the_other_ends(started, 1)
  assert 0 < checkpoints.load(workdir)[0] < 8
  for folder in (workdir, undisturbed):
    processes.run(2, command(folder, steps=8))
  assert losses(workdir) == losses(undisturbed)
  assert_same_weights(workdir, undisturbed, rtol=0)


def wait_for_checkpoint(workdir, started):
  for _ in range(3000):
    if any(
      path.name.isdecimal()
      for path in pathlib.Path(workdir).glob(f"{checkpoints.FOLDER}/*")
    ):
      return
    assert all(process.poll() is None for process in started)
    time.sleep(0.1)
  raise AssertionError("nothing was saved in five minutes")


@pytest.mark.slow("trains in two processes")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_one_stops_both_at_the_same_step(tmp_path, number):
  started = processes.start(2, command(tmp_path, steps=10_000))
  wait_for_checkpoint(tmp_path, started)
  started[1].send_signal(number)
  codes, outputs = processes.finish(started, timeout=240)
  assert codes == [128 + signal.SIGTERM] * 2, outputs
  (stopped,) = {
    int(re.search(r"Stopped by SIGTERM at step (\d+)", output).group(1))
    for output in outputs
  }
  assert checkpoints.load(tmp_path)[0] == stopped
  assert max(step for _, step in losses(tmp_path)) == stopped


@pytest.mark.slow("trains in two processes")
def test_processes_that_see_different_files_are_told(pair, tmp_path):
  """And a failure of one is not kept from the other."""
  first = first_half(pair, tmp_path)
  started = processes.start(
    2, lambda i: command(first if i == 0 else tmp_path / "elsewhere")
  )
  codes, outputs = processes.finish(started, timeout=240)
  assert all(code not in (0, None) for code in codes)
  assert any(
    "2 in process 0, -1 in process 1; they must run the same command" in output
    for output in outputs
  )


def parse(*arguments):
  values = flags.FlagValues()
  distributed.define_flags(values)
  values(["main", *arguments])
  return values


@pytest.mark.parametrize(
  "arguments, message",
  [
    (["--num_processes=2"], "--coordinator_address and --process_id are miss"),
    (
      ["--num_processes=2", "--process_id=1", "--coordinator_address=here"],
      "got 'here'",
    ),
    (
      ["--num_processes=2", "--process_id=2", "--coordinator_address=a:1"],
      "got 2 of 2",
    ),
  ],
)
def test_flags_that_do_not_fit_together_are_refused(arguments, message):
  with pytest.raises(errors.UserError, match=re.escape(message)):
    distributed.start(parse(*arguments))


def test_a_process_that_nothing_says_more_of_cannot_start():
  with pytest.raises(errors.RunError, match="could not be connected"):
    distributed.start(parse("--distributed"))


def test_one_process_needs_none_of_it():
  distributed.start(parse())
  distributed.agree("answer", 42)
  distributed.wait_for_all("end")
  assert not distributed.should_stop(1)
  assert distributed.label("title") == "title"


def test_flags_are_for_training(capsys):
  assert main.main(["--mode=sample", "--workdir=x", "--distributed"]) == 2
  assert "--distributed is for --mode=train" in capsys.readouterr().err
