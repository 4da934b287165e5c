"""Kills of a stand-in that saves well or badly, and of training."""

import random
import signal
import sys

import numpy as np
import pytest

from benchmarks import kill
from pseudovideo.runs import checkpoints, metric_log

# Saves its step every 20 steps, as directories; the flaw is its last argument.
STAND_IN = """
import json, pathlib, shutil, signal, sys, time
work, steps, flaw = pathlib.Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
folder, log = work / "checkpoints", work / "metrics.jsonl"
folder.mkdir(parents=True, exist_ok=True)
for path in folder.iterdir():
  if not path.name.isdecimal():
    shutil.rmtree(path)
saved = sorted(int(path.name) for path in folder.iterdir())
start = ([0] + saved)[-2 if flaw == "forgets" and saved else -1]
for step in saved:
  if step > start:
    shutil.rmtree(folder / str(step))
lines = log.read_text().splitlines() if log.exists() else []
kept = [l for l in lines if l[-1:] == "}" and json.loads(l)["step"] <= start]
log.write_text("".join(f"{line}\\n" for line in kept))
stop = []
signal.signal(signal.SIGTERM, lambda *unused: stop.append(1))
print(f"title  step {start}/{steps}  compiling the first step", flush=True)
for step in range(start + 1, steps + 1):
  time.sleep(0.002)
  stopping = bool(stop)
  with log.open("a") as file:
    file.write(json.dumps({"step": step, "split": "train"}) + "\\n")
  if step % 20 == 0 or stopping and flaw != "ignores":
    part = folder / f"{step}.orbax-checkpoint-tmp"
    part.mkdir()
    time.sleep(0.25)  # busy machines hit late
    part.rename(folder / str(step))
    for old in sorted(int(p.name) for p in folder.iterdir())[:-2]:
      doomed = (folder / str(old)).rename(folder / f"deleting-{old}")
      time.sleep(0.25)  # busy machines hit late
      doomed.rmdir()
  if stopping:
    break
"""
SLOW = pytest.mark.slow("waits for the moments of its kills")
CLOCK = kill.Clock(start=0.05, step=0.002, save=0.02)


def disturbed(folder, moments, flaw="none", number=signal.SIGKILL):
  argv = [sys.executable, "-c", STAND_IN, str(folder / "run"), "240", flaw]
  return kill.disturbed(
    argv,
    folder / "run",
    folder / "log.txt",
    moments=moments,
    clock=CLOCK,
    rng=random.Random(0),
    number=number,
  )


@SLOW
def test_kills_find_what_they_aim_at_and_cost_an_interval(tmp_path, capsys):
  moments = ["step", "save", "deletion", "start", "save", "step", "deletion"]
  kills = disturbed(tmp_path, moments)
  assert [each.moment for each in kills] == moments
  for each in kills:
    assert each.good() and each.resumed == each.saved
    assert each.resumed % 20 == 0
    # The stand-in does nothing else while it saves.
    assert each.repeated <= 20
    # A deletion may be over before it is hit.
    assert each.moment != "save" or each.found == ["save"]
  assert any(each.found == ["deletion"] for each in kills)
  assert [
    row["step"] for row in metric_log.read_metrics(tmp_path / "run")
  ] == list(range(1, 241))
  found = kill.summary(kills)
  assert found["too_much_repeated"] == 0
  assert found["repeated"] == sum(each.repeated for each in kills) > 0
  assert len(capsys.readouterr().out.splitlines()) == len(moments)


@SLOW
def test_a_checkpoint_that_is_thrown_away_is_noticed(tmp_path):
  kills = disturbed(tmp_path, ["deletion", "step"], flaw="forgets")
  assert kill.summary(kills)["too_much_repeated"] == 2


@SLOW
@pytest.mark.parametrize("flaw, repeats", [("none", False), ("ignores", True)])
def test_sigterm_repeats_nothing_or_is_noticed(tmp_path, flaw, repeats):
  kills = disturbed(tmp_path, ["step", "step"], flaw, signal.SIGTERM)
  assert bool(kill.summary(kills)["repeated"]) == repeats


def finished(folder, steps, change=0.0):
  """A run of four lines with a checkpoint."""
  log = metric_log.MetricWriter(folder, tensorboard=False)
  for step in steps:
    log.scalars(step, {"loss": 1 / step, "seconds": step + change})
  log.close()
  weights = np.arange(3, dtype=np.float32)
  store = checkpoints.Checkpoints(folder / checkpoints.FOLDER)
  parts = {name: {} for name in kill.PARTS}
  parts |= {"params": {"w": weights}, "ema": {"w": weights + change}}
  store.save(4, parts, config={})
  store.close()
  return folder


def test_every_bit_and_every_line_is_compared(tmp_path):
  quiet = finished(tmp_path / "quiet", [1, 2, 3, 4])
  same = finished(tmp_path / "same", [1, 2, 3, 4])
  assert kill.compare(quiet, same, 4) == {
    "arrays": 2, "arrays_differing": [], "lines": 4, "log_is_equal": True
  }  # fmt: skip
  lost = finished(tmp_path / "lost", [1, 2, 4], change=1e-7)
  found = kill.compare(quiet, lost, 4)
  assert found["arrays_differing"] == ["ema.w"]
  assert not found["log_is_equal"]
  doubled = finished(tmp_path / "doubled", [1, 2, 2, 3, 4])
  assert not kill.compare(quiet, doubled, 4)["log_is_equal"]
  assert not kill.compare(doubled, doubled, 4)["log_is_equal"]
