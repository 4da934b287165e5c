"""Kills training again and again, which must end in a quiet run's bits.

  python -m benchmarks.kill --kills=50 --sigterm=10 --seed=0 --out=kill.json

A tiny run, in a process of its own, is killed with SIGKILL at random moments:
while it starts, between two steps, in the middle of saving and of deleting an
old step. Every time it is started again with the same command, and at last it
may finish. A second run is stopped by SIGTERM instead. For each kill a line

  number  moment  seconds since its start  step  resumes from  repeated  found

where `found` is the work that the kill left half done. Then every array of the
last checkpoint is compared with an undisturbed run's, bit for bit, and so
is every line of the log; 1 is returned where anything differs.

The checkpoint of step s is written while later steps are taken. A kill repeats
at most the steps of one interval between checkpoints; where it hits that
writing, also those taken meanwhile, at most another interval, unless training
waits for it (--wait).
"""

import collections
import contextlib
import dataclasses
import json
import pathlib
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from absl import flags

from pseudovideo import errors
from pseudovideo.files import writable
from pseudovideo.runs import checkpoints, metric_log, results
from pseudovideo.terminal import command_line, progress_bar
from pseudovideo.training import state

ROOT = pathlib.Path(__file__).parents[1]
SAVE_EVERY = 20
KEEP = 2
PARTS = tuple(field.name for field in dataclasses.fields(state.TrainState))
# Work that a kill leaves half done -> its files, of `runs.checkpoints`.
HALF_DONE = {"save": "*.orbax-checkpoint-tmp*", "deletion": "deleting-*"}
PATIENCE = 300.0  # seconds
BEGAN = re.compile(rf"step (\d+)/\d+  {progress_bar.FIRST}")


def command(
  workdir: pathlib.Path, steps: int, *, wait: bool = False
) -> list[str]:
  """The command that trains a tiny model, equal for every start."""
  settings = dict(
    steps=steps,
    batch_size=4,
    log_every=1,
    eval_every=0,
    save_every=SAVE_EVERY,
    keep=KEEP,
    wait_for_saves=wait,
  )
  return [
    *(sys.executable, "-m", "pseudovideo.main", "--mode=train"),
    *("--config=configs/hvae.py:preset=tiny", f"--workdir={workdir}"),
    *(f"--config.train.{name}={value}" for name, value in settings.items()),
  ]


class Training:
  """A training process, watched from outside.

  Args:
    argv: the command that starts it.
    workdir: folder of the run.
    log: file that its output is written to.
  """

  def __init__(
    self, argv: Sequence[str], workdir: pathlib.Path, log: pathlib.Path
  ):
    self._workdir, self._log = workdir, log
    self._begin = time.monotonic()
    with log.open("wb") as file:
      self._process = subprocess.Popen(
        argv, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT
      )

  @property
  def seconds(self) -> float:
    """Seconds since its start."""
    return time.monotonic() - self._begin

  def runs(self) -> bool:
    """True until the process has ended."""
    return self._process.poll() is None

  def printed(self) -> str:
    """The output so far."""
    return self._log.read_text(errors="replace")

  def began(self) -> int | None:
    """The step that it resumes from; None until its loop begins."""
    found = BEGAN.search(self.printed())
    return int(found[1]) if found else None

  def step(self) -> int:
    """The last step that is logged, of this or of an earlier process."""
    path = self._workdir / metric_log.METRICS_FILE
    if not path.exists():
      return 0
    with path.open("rb") as file:
      file.seek(max(0, path.stat().st_size - 4096))
      *lines, _ = file.read().split(b"\n")  # the last one may be unfinished
    return json.loads(lines[-1])["step"] if lines else 0

  def half_done(self) -> list[str]:
    """The keys of `HALF_DONE` whose files are on disk."""
    folder = self._workdir / checkpoints.FOLDER
    return [name for name, what in HALF_DONE.items() if any(folder.glob(what))]

  def wait(self, condition: Callable[[], bool], pause: float = 0.01) -> None:
    """Returns when the condition holds.

    Raises:
      RunError: the process ended before, or nothing happened for long.
    """
    end = time.monotonic() + PATIENCE
    while not condition():
      if not self.runs() or time.monotonic() > end:
        raise errors.RunError(
          "The training was to be killed but ended, or does nothing; see "
          f"{self._log}, whose end is: {self.printed()[-300:]!r}."
        )
      time.sleep(pause)

  def wait_for_step(self, steps: int) -> None:
    """Returns when this process has done some steps."""
    self.wait(lambda: self.began() is not None)
    end = self.began() + steps
    self.wait(lambda: self.step() >= end)

  def end(self, number: signal.Signals | None = None) -> int:
    """Sends a signal, if one is given, and waits; returns the exit code."""
    if number is not None:
      self._process.send_signal(number)
    return self._process.wait(PATIENCE)


@contextlib.contextmanager
def started(
  argv: Sequence[str], workdir: pathlib.Path, log: pathlib.Path
) -> Iterator[Training]:
  """Starts a training that does not outlive an exception."""
  training = Training(argv, workdir, log)
  try:
    yield training
  finally:
    if training.runs():
      training.end(signal.SIGKILL)


@dataclasses.dataclass(frozen=True)
class Clock:
  """Durations in an undisturbed run, in seconds.

  Attributes:
    start: time until the first step is logged.
    step: time of one step.
    save: time during which a checkpoint is half written.
  """

  start: float
  step: float
  save: float


def undisturbed(
  argv: Sequence[str], workdir: pathlib.Path, log: pathlib.Path, steps: int
) -> Clock:
  """Trains without any disturbance.

  Raises:
    RunError: the training failed.
  """
  with started(argv, workdir, log) as training:
    training.wait(lambda: training.step() >= 1)
    start, saving, looks = training.seconds, 0, 0
    while training.runs():
      saving += "save" in training.half_done()
      looks += 1
      time.sleep(0.005)
    seconds = training.seconds - start
    if training.end():
      raise errors.RunError(f"The training failed: {training.printed()!r}.")
  saves = max(1, steps // SAVE_EVERY)
  return Clock(start, seconds / steps, seconds * saving / looks / saves)


# Moments: each returns when it is time to kill.


def _in_start(training: Training, rng: random.Random, clock: Clock) -> None:
  time.sleep(rng.uniform(0, clock.start))


def _in_steps(training: Training, rng: random.Random, clock: Clock) -> None:
  training.wait_for_step(rng.randrange(1, 2 * SAVE_EVERY))
  time.sleep(rng.uniform(0, clock.step))


def _in_save(training: Training, rng: random.Random, clock: Clock) -> None:
  training.wait_for_step(rng.choice((1, SAVE_EVERY)))
  training.wait(lambda: "save" in training.half_done(), pause=0)
  time.sleep(rng.uniform(0, clock.save))


def _in_deletion(training: Training, rng: random.Random, clock: Clock) -> None:
  training.wait_for_step(rng.choice((1, SAVE_EVERY)))
  training.wait(lambda: "deletion" in training.half_done(), pause=0)


MOMENTS = {
  "start": _in_start,
  "step": _in_steps,
  "save": _in_save,
  "deletion": _in_deletion,
}
# One after another, and shuffled: most kills come at no special moment.
MIXTURE = ("step", "save", "deletion", "step", "save", "start", "deletion")
PREEMPTIONS = ("step", "step", "save", "step", "start")


@dataclasses.dataclass
class Kill:
  """One signal and its consequences.

  Attributes:
    moment: a key of `MOMENTS`, at which it was aimed.
    seconds: time since the start of the process.
    step: the last step that was logged.
    saved: step of the newest finished checkpoint, 0 for none.
    found: keys of `HALF_DONE` that it left behind.
    resumed: step that the next process resumed from.
    repeated: number of steps that were done again because of it.
  """

  moment: str
  seconds: float
  step: int
  saved: int
  found: list[str]
  resumed: int = 0
  repeated: int = 0

  def excused(self) -> bool:
    """True if the newest checkpoint that was due was still being written."""
    return self.saved < self.step // SAVE_EVERY * SAVE_EVERY

  def good(self) -> bool:
    """True if it cost no more than the module says."""
    limit = 2 * SAVE_EVERY if self.excused() else SAVE_EVERY
    return self.resumed == self.saved and self.repeated <= limit

  def line(self, number: int) -> str:
    """One line of the output."""
    found = f"  half a {' and half a '.join(self.found)}" if self.found else ""
    return (
      f"{number:>3} {self.moment:<9}{self.seconds:>7.2f} s  step {self.step:>5}"
      f"  resumes from {self.resumed:>5}  {self.repeated:>3} repeated{found}"
    )


def disturbed(
  argv: Sequence[str],
  workdir: pathlib.Path,
  log: pathlib.Path,
  *,
  moments: Sequence[str],
  clock: Clock,
  rng: random.Random,
  number: signal.Signals = signal.SIGKILL,
) -> list[Kill]:
  """Trains to the end, with one signal for each of the moments.

  Raises:
    RunError: the training ended before, or failed.
  """
  kills, waiting = [], []

  def resumed(step: int | None) -> None:
    """Completes the kills before this process, and prints them."""
    if step is None:  # It did not come so far: no step was repeated.
      return
    for kill in waiting:
      # Those after the first hit a process that had not done any step.
      kill.repeated = kill.step - step if kill is waiting[0] else 0
      kill.resumed = step
      kills.append(kill)
      print(kill.line(len(kills)), flush=True)
    waiting.clear()

  for moment in moments:
    with started(argv, workdir, log) as training:
      MOMENTS[moment](training, rng, clock)
      seconds = training.seconds
      training.end(number)
      resumed(training.began())
      saved = max(_saved(workdir), default=0)
      step = training.step()
      kill = Kill(moment, seconds, step, saved, training.half_done())
      waiting.append(kill)
  with started(argv, workdir, log) as training:
    if training.end():
      raise errors.RunError(f"The training failed: {training.printed()!r}.")
    resumed(training.began())
  return kills


def _saved(workdir: pathlib.Path) -> list[int]:
  folder = workdir / checkpoints.FOLDER
  names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
  return [int(name) for name in names if name.isdecimal()]


def leaves(workdir: pathlib.Path) -> dict[str, tuple[str, tuple, bytes]]:
  """Name -> dtype, shape and bytes of every array of the last checkpoint."""
  _, tree, _ = checkpoints.load(workdir, parts=PARTS)
  return {
    name: (str(leaf.dtype), leaf.shape, np.asarray(leaf).tobytes())
    for name, (_, leaf) in checkpoints.entries.named_leaves(tree).items()
  }


def logged(workdir: pathlib.Path) -> list[dict[str, Any]]:
  """The lines of the log, without their times."""
  found = metric_log.read_metrics(workdir)
  return [{k: v for k, v in row.items() if k != "seconds"} for row in found]


def compare(
  quiet: pathlib.Path, other: pathlib.Path, steps: int
) -> dict[str, Any]:
  """Compares two finished runs, every bit.

  Returns:
    arrays, their number; arrays_differing, their names; lines, the number of
    lines of the log; and log_is_equal, True if they are equal and there is one
    for every step.
  """
  ours, theirs = leaves(other), leaves(quiet)
  lines = logged(other)
  every_step = [row["step"] for row in lines] == list(range(1, steps + 1))
  return {
    "arrays": len(theirs),
    "arrays_differing": sorted(
      name
      for name in ours.keys() | theirs.keys()
      if ours.get(name) != theirs.get(name)
    ),
    "lines": len(lines),
    "log_is_equal": every_step and lines == logged(quiet),
  }


def summary(kills: Sequence[Kill]) -> dict[str, Any]:
  """The numbers of a disturbed run."""
  repeated = [kill.repeated for kill in kills]
  return {
    "kills": len(kills),
    "aimed_at": dict(collections.Counter(kill.moment for kill in kills)),
    "left_half_done": {
      name: sum(name in kill.found for kill in kills) for name in HALF_DONE
    },
    "repeated": sum(repeated),
    "repeated_at_most": max(repeated, default=0),
    "repeated_at_most_outside_saves": max(
      (kill.repeated for kill in kills if not kill.excused()), default=0
    ),
    "more_than_an_interval": sum(n > SAVE_EVERY for n in repeated),
    "too_much_repeated": sum(not kill.good() for kill in kills),
  }


def define_flags() -> flags.FlagValues:
  """Defines the flags of the command."""
  values = flags.FlagValues()
  for define, name, default, meaning in (
    (flags.DEFINE_integer, "kills", 50, "Kill one run so many times."),
    (flags.DEFINE_integer, "sigterm", 10, "Stop another one so many times."),
    (flags.DEFINE_integer, "seed", 0, "Draw the moments from this seed."),
    (flags.DEFINE_bool, "wait", False, "Train with train.wait_for_saves."),
    (
      flags.DEFINE_string,
      "workdir",
      None,
      "Keep the runs in this new folder; nowhere if absent.",
    ),
    (
      flags.DEFINE_string,
      "out",
      None,
      "Write results and provenance to this JSON file.",
    ),
  ):
    define(name, default, meaning, flag_values=values)
    values.register_key_flag_for_module(sys.argv[0], values[name])
  return values


def _moments(mixture: Sequence[str], num: int, rng: random.Random) -> list[str]:
  chosen = [mixture[i % len(mixture)] for i in range(num)]
  rng.shuffle(chosen)
  return chosen


def measure(
  folder: pathlib.Path,
  *,
  kills: int,
  sigterm: int,
  seed: int,
  wait: bool = False,
) -> dict[str, dict[str, Any]]:
  """Trains three times in a folder: undisturbed, killed, stopped by SIGTERM.

  Args:
    folder: an empty folder.
    kills: number of SIGKILLs, at least 0.
    sigterm: number of SIGTERMs, at least 0.
    seed: seed of their moments.
    wait: True trains with train.wait_for_saves.

  Returns:
    For `kill` and `sigterm`, where there are any, the results of `summary` and
    `compare`, `good` if all is, and `each` of the kills.
  """
  # However late they are, kills leave something to be done.
  steps = 2 * SAVE_EVERY * (max(kills, sigterm) + 2)
  quiet = folder / "undisturbed"
  print(f"{steps} steps, one checkpoint every {SAVE_EVERY}", flush=True)
  log = folder / "log.txt"
  clock = undisturbed(command(quiet, steps, wait=wait), quiet, log, steps)
  print(
    f"undisturbed: {clock.start:.1f} s to the first step, then "
    f"{1e3 * clock.step:.0f} ms each; {1e3 * clock.save:.0f} ms for a save"
  )
  table = {}
  for name, number, mixture, num in (
    ("kill", signal.SIGKILL, MIXTURE, kills),
    ("sigterm", signal.SIGTERM, PREEMPTIONS, sigterm),
  ):
    if not num:
      continue
    rng = random.Random(f"{name} {seed}")
    workdir = folder / name
    print(name)
    found = disturbed(
      command(workdir, steps, wait=wait),
      workdir,
      log,
      moments=_moments(mixture, num, rng),
      clock=clock,
      rng=rng,
      number=number,
    )
    total = {**summary(found), **compare(quiet, workdir, steps)}
    total["good"] = _good(total, may_repeat=name == "kill")
    if wait:
      total["good"] &= not total["more_than_an_interval"]
    print(f"{name}: {verdict(total)}", flush=True)
    total["each"] = [dataclasses.asdict(kill) for kill in found]
    settings = dict(steps=steps, save_every=SAVE_EVERY, wait_for_saves=wait)
    table[name] = settings | total
  return table


def _good(total: dict[str, Any], *, may_repeat: bool) -> bool:
  return (
    not total["arrays_differing"]
    and total["log_is_equal"]
    and not total["too_much_repeated"]
    and (may_repeat or not total["repeated"])
  )


def verdict(total: dict[str, Any]) -> str:
  """A line on the whole of a disturbed run."""
  differing = total["arrays_differing"]
  bits = f"{len(differing)} of {total['arrays']} arrays differ"
  lines = "equal" if total["log_is_equal"] else "NOT equal"
  return (
    f"{'good' if total['good'] else 'BAD'}: {total['kills']} signals, {bits}, "
    f"the log's {total['lines']} lines are {lines}; {total['repeated']} steps "
    f"were repeated, at most {total['repeated_at_most']} for one signal and "
    f"{total['repeated_at_most_outside_saves']} where no save was under way"
  )


def run(argv: Sequence[str]) -> int:
  """Disturbs, prints, and writes a file if asked to; returns the exit code."""
  values = define_flags()
  command_line.parse_flags(argv, values)
  if values.out:
    writable.check(values.out)
  for name in ("kills", "sigterm"):
    if values[name].value < 0:
      raise errors.UserError(
        f"--{name} must be at least 0; got {values[name].value}."
      )
  with contextlib.ExitStack() as stack:
    folder = values.workdir
    if folder is None:
      folder = stack.enter_context(tempfile.TemporaryDirectory())
    folder = pathlib.Path(folder).absolute()
    if folder.exists() and any(folder.iterdir()):
      raise errors.UserError(
        f"{folder} is not empty; give --workdir=DIR a new folder."
      )
    folder.mkdir(parents=True, exist_ok=True)
    table = measure(
      folder,
      kills=values.kills,
      sigterm=values.sigterm,
      seed=values.seed,
      wait=values.wait,
    )
  if values.out:
    record = {"values": table, "seed": values.seed}
    results.write_json(
      values.out, {**record, "provenance": results.provenance()}
    )
  return 0 if all(found["good"] for found in table.values()) else 1


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return command_line.answer(run, argv, __doc__, define_flags())


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
