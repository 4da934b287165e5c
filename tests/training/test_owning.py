"""One process trains in a folder at a time."""

import errno
import fcntl
import logging
import signal
import subprocess
import sys
import threading

import pytest

from pseudovideo import errors, runs
from pseudovideo.runs import owning
from pseudovideo.training import loop
from tests import processes
from tests.training import small_runs as small


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
  """An undisturbed run."""
  workdir = tmp_path_factory.mktemp("whole")
  assert loop.train(small.config(), workdir) == loop.Outcome(6, None)
  return workdir


def test_another_process_is_named_and_its_folder_left_alone(tmp_path, whole):
  loop.train(small.config(steps=2), tmp_path)
  before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
  with processes.holding(tmp_path / owning.LOCK_FILE) as process:
    before[tmp_path / owning.LOCK_FILE] = None
    with pytest.raises(errors.UserError, match=f"process {process.pid} on"):
      loop.train(small.config(steps=6), tmp_path)
    after = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
    after[tmp_path / owning.LOCK_FILE] = None
    assert after == before
    assert runs.restore(tmp_path).step == 2, "which may be read meanwhile"
    process.send_signal(signal.SIGKILL)
    process.wait()
    loop.train(small.config(steps=6), tmp_path)
  assert small.final_hash(tmp_path) == small.final_hash(whole)


def test_a_run_that_fails_gives_the_folder_back(tmp_path, monkeypatch):
  with monkeypatch.context() as patch:
    patch.setattr(loop.Loop, "_open_log", lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
      loop.train(small.config(steps=2), tmp_path)
  assert loop.train(small.config(steps=2), tmp_path).step == 2


def test_without_locks_of_the_file_system_there_is_a_warning(
  tmp_path, monkeypatch, caplog
):
  def refuse(*args):
    raise OSError(errno.ENOLCK, "No locks available")

  monkeypatch.setattr(fcntl, "flock", refuse)
  with caplog.at_level(logging.WARNING):
    assert loop.train(small.config(steps=2), tmp_path).step == 2
  assert "No locks available" in caplog.text


@pytest.mark.parametrize(
  ("seed", "words"), [(0, "trained in"), (5, "train.seed is 0, was 5")]
)
def test_a_run_that_began_meanwhile_is_not_overwritten(
  tmp_path, monkeypatch, seed, words
):
  """Another command finished between the look at the folder and its lock."""
  own = owning.own

  def late(workdir):
    monkeypatch.setattr(owning, "own", own)
    loop.train(small.config(steps=2, seed=seed), workdir)
    return own(workdir)

  monkeypatch.setattr(owning, "own", late)
  with pytest.raises(errors.UserError, match=words):
    loop.train(small.config(), tmp_path)
  assert runs.restore(tmp_path).step == 2


def test_a_side_thread_can_train(tmp_path, whole):
  """It gets no signals, and changes none."""
  before = signal.getsignal(signal.SIGTERM)
  thread = threading.Thread(target=loop.train, args=(small.config(), tmp_path))
  thread.start()
  assert signal.getsignal(signal.SIGTERM) == before
  thread.join()
  assert small.final_hash(tmp_path) == small.final_hash(whole)


@pytest.mark.slow("trains in two processes at once")
def test_of_two_commands_at_once_one_trains(tmp_path, whole):
  """In the end the folder holds that one's run and no other."""
  command = (
    "import sys; from tests.training import small_runs as small\n"
    "from pseudovideo.terminal import command_line\n"
    "from pseudovideo.training import loop\n"
    "def train(argv):\n"
    "  return loop.train(small.config(seed=int(argv[1])), argv[0]).step\n"
    "sys.exit(command_line.exit_code(train, sys.argv[1:]))"
  )
  both = [
    subprocess.Popen(
      [sys.executable, "-c", command, str(tmp_path), str(seed)],
      stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
      cwd=processes.ROOT,
    )
    for seed in (0, 1)
  ]  # fmt: skip
  codes, said = processes.finish(both)
  assert sorted(codes) == [2, 6], said
  winner = codes.index(6)
  refused = said[1 - winner]
  assert f"process {both[winner].pid} on" in refused or "just now" in refused
  assert runs.saved_config(tmp_path).train.seed == winner
  assert [row["step"] for row in small.rows(tmp_path)] == [1, 2, 3, 4, 5, 6]
