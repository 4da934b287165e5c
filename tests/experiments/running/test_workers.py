"""Processes side by side: their devices, signals and exit codes."""

import contextlib
import itertools
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import pytest

from experiments.running import workers
from pseudovideo import errors

ROOT = pathlib.Path(__file__).parents[3]


def test_the_flag_is_taken_from_the_others():
  for argv, count, rest in [
    (["--rows=a"], 1, ["--rows=a"]),
    (["--workers=3", "--rows=a"], 3, ["--rows=a"]),
    (["--workers=3", "--workers=2"], 2, []),
  ]:
    assert workers.parse_count(argv) == (count, rest)
  for text in ("0", "-1", "two", ""):
    with pytest.raises(errors.UserError, match="at least 1"):
      workers.parse_count([f"--workers={text}"])


def test_every_device_has_one_process():
  for devices, count in itertools.product([1, 2, 3, 5, 8], [1, 2, 3]):
    names = [str(i) for i in range(devices)]
    if devices < count:
      with pytest.raises(errors.UserError, match=f"there are {devices}"):
        workers.shares(names, count)
      continue
    shares = workers.shares(names, count)
    assert sorted(itertools.chain.from_iterable(shares)) == names
    sizes = [len(share) for share in shares]
    assert max(sizes) - min(sizes) <= 1


def test_without_gpus_nothing_is_set(monkeypatch):
  monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
  assert workers.gpus() == []
  assert workers.shares([], 3) == [[], [], []]


def test_what_the_environment_allows_is_shared(monkeypatch):
  monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,GPU-ab,7")
  assert workers.gpus() == ["4", "GPU-ab", "7"]


@pytest.fixture(name="script")
def _script(monkeypatch, tmp_path):
  """Lets each process write down what it sees, and run some code."""

  def prepare(code):
    real = subprocess.Popen
    started = []

    def popen(command, env):
      path = tmp_path / str(len(started))
      full = (
        "import os, sys, time, signal, pathlib\n"
        f"path = pathlib.Path({str(path)!r})\n{code}"
      )
      assert command[:3] == [sys.executable, "-m", "experiments"]
      started.append(real([sys.executable, "-c", full, *command[3:]], env=env))
      return started[-1]

    monkeypatch.setattr(workers.subprocess, "Popen", popen)
    return tmp_path

  return prepare


def test_each_has_its_gpus_and_the_worst_code_counts(script, monkeypatch):
  monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")
  folder = script(
    "seen = os.environ['CUDA_VISIBLE_DEVICES']\n"
    "path.write_text(' '.join([seen, *sys.argv[1:]]))\n"
    "sys.exit(3 if seen == '1' else 0)"
  )
  assert workers.side_by_side(["run", "table3"], 2) == 3
  assert (folder / "0").read_text() == "0,2 run table3"
  assert (folder / "1").read_text() == "1 run table3"


def test_a_signal_reaches_all(script, monkeypatch):
  monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
  folder = script(
    "signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))\n"
    "path.touch()\ntime.sleep(60)"
  )

  def stop():
    while len(list(folder.iterdir())) < 2:
      time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGTERM)

  before = signal.getsignal(signal.SIGTERM)
  threading.Thread(target=stop, daemon=True).start()
  assert workers.side_by_side(["run", "table3"], 2) == 143
  assert signal.getsignal(signal.SIGTERM) is before


# Workers that stop at a signal as a training does, and would be seen if a
# second SIGINT interrupted them.
WORKER = """
import os, pathlib, sys, time
from pseudovideo.terminal import signals
with signals.catch_stop() as stop:
  pathlib.Path(sys.argv[1], str(os.getpid())).touch()
  while stop.signal is None:
    time.sleep(0.05)
  time.sleep(0.5)
pathlib.Path(sys.argv[1], f"{os.getpid()}.saved").touch()
sys.exit(128 + stop.signal)
"""
PARENT = f"""
import subprocess, sys
from experiments.running import workers
real = subprocess.Popen
workers.subprocess.Popen = lambda argv, env: real(
  [sys.executable, "-c", {WORKER!r}, sys.argv[1]], env=env
)
sys.exit(workers.side_by_side([], 2))
"""


@pytest.mark.parametrize("to_all", [False, True])
@pytest.mark.parametrize(
  "number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
)
def test_a_signal_is_one_signal_for_every_worker(tmp_path, number, to_all):
  """A terminal sends Ctrl-C, and its end, to the workers too."""
  parent = subprocess.Popen(
    [sys.executable, "-c", PARENT, str(tmp_path)],
    cwd=ROOT,
    env=os.environ | {"PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""},
    start_new_session=True,
  )
  try:
    end = time.monotonic() + 60
    while len(list(tmp_path.iterdir())) < 2:
      assert time.monotonic() < end
      time.sleep(0.05)
    (os.killpg if to_all else os.kill)(parent.pid, number)
    assert parent.wait(60) in (128 + number, 128 + signal.SIGTERM)
    assert len(list(tmp_path.glob("*.saved"))) == 2
  finally:
    with contextlib.suppress(ProcessLookupError):
      os.killpg(parent.pid, signal.SIGKILL)
