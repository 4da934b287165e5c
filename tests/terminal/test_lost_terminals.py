"""Real commands whose terminal or reader goes away: the run is saved."""

import contextlib
import json
import os
import pathlib
import pty
import select
import signal
import subprocess
import sys
import threading
import time

import pytest

from configs import hvae
from pseudovideo.config import parsing
from pseudovideo.runs import checkpoints
from pseudovideo.training import loop
from tests import processes

pytestmark = pytest.mark.slow("trains in a process per way to lose a terminal")

ENDLESS = 10_000_000
LIMIT = 180  # seconds that any of them may take


def command(workdir, steps=ENDLESS):
  return [
    *(sys.executable, "-m", "pseudovideo.main", "--mode=train"),
    *("--config=configs/hvae.py:preset=tiny", f"--workdir={workdir}"),
    *(f"--config.train.steps={steps}", "--config.train.log_every=1"),
    *("--config.train.eval_every=0", f"--config.train.save_every={ENDLESS}"),
  ]


def logged(workdir) -> int:
  path = pathlib.Path(workdir, "metrics.jsonl")
  lines = path.read_text().splitlines() if path.exists() else []
  return json.loads(lines[-1])["step"] if lines else 0


def wait_for(check):
  end = time.monotonic() + LIMIT
  while not check():
    assert time.monotonic() < end
    time.sleep(0.1)


@contextlib.contextmanager
def in_terminal(argv):
  """A process in a session of its own, and its `Terminal`."""
  master, slave = pty.openpty()
  process = subprocess.Popen(
    ["setsid", "--ctty", *argv],
    cwd=processes.ROOT,
    stdin=slave,
    stdout=slave,
    stderr=slave,
  )
  os.close(slave)
  terminal = Terminal(master)
  try:
    yield process, terminal
  finally:
    terminal.hang_up()
    with contextlib.suppress(ProcessLookupError):
      os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class Terminal:
  """Reads what is shown until it is closed."""

  def __init__(self, master):
    self.master, self._closing = master, threading.Event()
    self._reader = threading.Thread(target=self._read, daemon=True)
    self._reader.start()

  def _read(self):
    with contextlib.suppress(OSError):
      while not self._closing.is_set():
        if select.select([self.master], [], [], 0.05)[0]:
          os.read(self.master, 2**16)
    self._closing.wait()
    os.close(self.master)

  def hang_up(self):
    self._closing.set()
    self._reader.join()


def assert_saved(workdir):
  """The last logged step, or one behind it, is saved."""
  step, _, _ = checkpoints.load(workdir)
  assert step >= logged(workdir) - 1 > 0


@pytest.mark.parametrize("how", ["hang up", "SIGHUP", "SIGTERM", "SIGINT"])
def test_a_terminal_that_goes_away_saves_the_run(tmp_path, how):
  with in_terminal(command(tmp_path)) as (process, terminal):
    wait_for(lambda: logged(tmp_path) > 3)
    number = signal.SIGHUP if how == "hang up" else signal.Signals[how]
    if how == "hang up":
      terminal.hang_up()
    else:
      process.send_signal(number)
    assert process.wait(LIMIT) == 128 + number
    assert_saved(tmp_path)


def test_under_nohup_a_run_goes_on(tmp_path):
  script = 'exec nohup "$@" >"$0" 2>&1'
  argv = ["bash", "-c", script, str(tmp_path / "out"), *command(tmp_path)]
  with in_terminal(argv) as (process, terminal):
    wait_for(lambda: logged(tmp_path) > 3)
    terminal.hang_up()
    process.send_signal(signal.SIGHUP)
    seen = logged(tmp_path)
    wait_for(lambda: logged(tmp_path) > seen + 50)
    process.terminate()
    assert process.wait(LIMIT) == 128 + signal.SIGTERM
    assert_saved(tmp_path)


@pytest.mark.parametrize(
  "redirected",
  [
    "| head -n 1",
    "2>&1 | head -n 1",
    "2>&1 | true",
    ">&- 2>&- <&-",
    "2>&-",
    ">/dev/full 2>/dev/full",
  ],
)
def test_a_reader_that_goes_away_costs_nothing(tmp_path, redirected):
  workdir = tmp_path / "写真 \udcff ±"
  argv = command(workdir, steps=4)
  script = f'"$@" {redirected}; exit "${{PIPESTATUS[0]}}"'
  done = subprocess.run(
    ["bash", "-c", script, "bash", *argv],
    cwd=processes.ROOT,
    env=os.environ | {"PYTHONIOENCODING": "ascii:strict"},
    capture_output=True,
    timeout=LIMIT,
    check=False,
  )
  assert done.returncode == 0, done.stderr
  assert b"Traceback" not in done.stdout + done.stderr
  assert checkpoints.load(workdir)[0] == 4


def test_training_in_a_side_thread(tmp_path):
  raw = parsing.complete(hvae.get_config("preset=tiny"))
  outcomes = []

  def train():
    outcomes.append(loop.train(raw, tmp_path))

  thread = threading.Thread(target=train)
  thread.start()
  thread.join(LIMIT)
  assert outcomes[0].step == raw["train"]["steps"]
  assert outcomes[0].stopped_by is None
