"""Fills small disks: one sentence must be said, and nothing left half done.

  python -m benchmarks.full_disk --sizes=12 --seed=0 --out=full_disk.json

Every size is a new disk of so many kilobytes in memory (a tmpfs, mounted where
only this process sees it: Linux with `unshare` is needed, root is not). On it

  checkpoint  saves one step after another
  data_cache  keeps decoded arrays
  metrics     logs numbers, for TensorBoard too
  pictures    saves png files
  samples     saves generated images
  training    is the whole command; it then resumes, on a larger disk

until there is no room. Then one sentence must have been said, nothing half done
may be left, and all that was finished before must read back bit for bit. Caches
and logs that find no room end nothing: warnings say so.
"""

import contextlib
import io
import os
import pathlib
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from absl import flags, logging

from benchmarks import rows
from pseudovideo import errors
from pseudovideo.data import cache
from pseudovideo.report import drawing
from pseudovideo.runs import checkpoints, metric_log, sample_files
from pseudovideo.terminal import command_line

ROOT = pathlib.Path(__file__).parents[1]
UNSHARE = ("unshare", "--user", "--map-root-user", "--mount")
UNFINISHED = ("**/.*.part", "**/.new-*", "**/*.orbax-checkpoint-tmp*")
INSIDE = "PSEUDOVIDEO_OWN_MOUNTS"


def can_mount() -> bool:
  """Tries if a process may have mounts of its own here."""
  try:
    done = subprocess.run([*UNSHARE, "true"], capture_output=True, check=False)
  except OSError:
    return False
  return done.returncode == 0


@contextlib.contextmanager
def disk(kilobytes: int) -> Iterator[pathlib.Path]:
  """A folder on a disk of its own, with so much room."""
  with tempfile.TemporaryDirectory() as folder:
    _mount(f"size={kilobytes}k", folder)
    try:
      yield pathlib.Path(folder)
    finally:
      subprocess.run(["umount", "--lazy", folder], check=True)


def _mount(options: str, folder: str | pathlib.Path) -> None:
  subprocess.run(
    ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True
  )


# Rows: each fills a disk, and checks what it holds afterwards.


def _random(seed: int, *shape: int) -> np.ndarray:
  return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def _save_steps(folder: pathlib.Path) -> None:
  store = checkpoints.Checkpoints(folder / "run" / checkpoints.FOLDER, keep=99)
  for step in range(1, 100):
    parts = {"params": {"w": _random(step, 200, 150)}, "extra": {}}
    store.save(step, parts, config={}, wait=True)


def _check_steps(folder: pathlib.Path) -> int:
  store = checkpoints.Checkpoints(
    folder / "run" / checkpoints.FOLDER, cleanup=False
  )
  like = {"params": {"w": _random(0, 200, 150)}, "extra": {}}
  for step in store.steps():
    found = store.restore(step, like=like)[1]["params"]["w"]
    np.testing.assert_array_equal(found, _random(step, 200, 150))
  return len(store.steps())


def _save_arrays(folder: pathlib.Path) -> None:
  os.environ["XDG_CACHE_HOME"] = str(folder)
  for number in range(100):
    cache.load(f"set{number}", number, _builder(number))


def _builder(number: int) -> Callable[[cache.NewArray], None]:
  def build(new_array: cache.NewArray) -> None:
    for name in ("train_images", "test_images"):
      new_array(name, (100, 150))[:] = _random(number, 100, 150)

  return build


def _check_arrays(folder: pathlib.Path) -> int:
  found = sorted((folder / "pseudovideo" / "data").glob("set*"))
  for path in found:
    number = int(path.name.partition("-")[0].removeprefix("set"))
    for array in cache.read(path)[0].values():
      np.testing.assert_array_equal(array, _random(number, 100, 150))
  return len(found)


def _log_numbers(folder: pathlib.Path) -> None:
  log = metric_log.MetricWriter(folder)
  for step in range(40_000):
    log.scalars(step, {"loss": step / 3})
  log.close()


def _check_numbers(folder: pathlib.Path) -> int:
  found = metric_log.read_metrics(folder)
  assert [row["loss"] for row in found] == [i / 3 for i in range(len(found))]
  return len(found)


def _save_pictures(folder: pathlib.Path) -> None:
  for number in range(1000):
    path = folder / "images" / f"{number}.png"
    drawing.save_png(path, _random(number, 60, 60, 3))


def _check_pictures(folder: pathlib.Path) -> int:
  found = list((folder / "images").glob("*.png"))
  for path in found:
    expected = drawing.png_bytes(_random(int(path.stem), 60, 60, 3))
    assert path.read_bytes() == expected
  return len(found)


def _save_samples(folder: pathlib.Path) -> None:
  for number in range(1000):
    drawn = _random(number, 40, 16, 16, 3)
    path = folder / f"{number}.npz"
    sample_files.save(path, sample_files.Samples(drawn, None, 0, None, 1))


def _check_samples(folder: pathlib.Path) -> int:
  found = list(folder.glob("*.npz"))
  for path in found:
    expected = _random(int(path.stem), 40, 16, 16, 3)
    np.testing.assert_array_equal(sample_files.load(path).images, expected)
  return len(found)


Row = tuple[Callable[[pathlib.Path], None], Callable[[pathlib.Path], int]]
ROWS: dict[str, Row] = {
  "checkpoint": (_save_steps, _check_steps),
  "data_cache": (_save_arrays, _check_arrays),
  "metrics": (_log_numbers, _check_numbers),
  "pictures": (_save_pictures, _check_pictures),
  "samples": (_save_samples, _check_samples),
}


def fill(row: Row, kilobytes: int) -> dict[str, Any]:
  """Fills a disk by one of `ROWS`.

  Returns:
    `code`, the exit code that a command would have; `said`, its sentence;
    `whole`, the number of things that are finished; `left`, those that are not.
  """
  use, check = row
  said = io.StringIO()
  with disk(kilobytes) as folder:
    with contextlib.redirect_stderr(said):
      code = command_line.exit_code(lambda argv: _used(use, folder), [])
    return {
      "kilobytes": kilobytes,
      "code": code,
      "said": said.getvalue().replace(str(folder), "DISK").strip(),
      "whole": check(folder),
      "left": _unfinished(folder),
    }


def _used(use: Callable[[pathlib.Path], None], folder: pathlib.Path) -> int:
  """Fills the disk, with warnings among what is said; returns the exit code."""
  before = logging.get_verbosity()
  command_line.set_up()
  logging.set_verbosity(logging.WARNING)
  try:
    use(folder)
  finally:
    logging.set_verbosity(before)
  return 0


def _unfinished(folder: pathlib.Path) -> list[str]:
  return [
    path.relative_to(folder).as_posix()
    for pattern in UNFINISHED
    for path in folder.glob(pattern)
  ]


def train(kilobytes: int) -> dict[str, Any]:
  """Trains on a small disk, and to the end when it has become larger."""
  with disk(kilobytes) as folder:
    argv = [
      *(sys.executable, "-m", "pseudovideo.main", "--mode=train"),
      *("--config=configs/hvae.py:preset=tiny", f"--workdir={folder}/run"),
      *("--config.train.save_every=1", "--config.train.eval_every=0"),
    ]

    def start() -> subprocess.CompletedProcess:
      return subprocess.run(
        argv, cwd=ROOT, capture_output=True, text=True, check=False
      )

    first = start()
    left = _unfinished(folder)
    whole = 0
    if (folder / "run" / checkpoints.FOLDER / "1").exists():
      whole, _, _ = checkpoints.load(folder / "run")
    _mount("remount,size=100m", folder)
    second = start()
    lines = first.stderr.replace(str(folder), "DISK").splitlines()
    kinds = ("Error: ", "Traceback", "Exception")
    return {
      "kilobytes": kilobytes,
      "code": first.returncode,
      "said": "\n".join(line for line in lines if line.startswith(kinds)),
      "whole": whole,
      "left": left,
      "then": second.returncode,
    }


def good(outcome: dict[str, Any]) -> bool:
  """True if a full disk met one sentence, and nothing was left half done."""
  said = outcome["said"].splitlines()
  full = ("No space left on device", "the disk is full")
  errors_said = sum(line.startswith("Error: ") for line in said)
  return (
    errors_said == (outcome["code"] in (1, 2))
    and (len(said) == 1 or outcome["code"] == 0 < len(said))
    and all(any(text in line for text in full) for line in said)
    and not outcome["left"]
    and outcome.get("then", 0) == 0
  )


def define_flags() -> flags.FlagValues:
  """Defines the flags of the command."""
  names = ",".join([*ROWS, "training"])
  values = flags.FlagValues()
  for define, name, default, meaning in (
    (
      flags.DEFINE_string,
      "rows",
      names,
      "Fill disks of these rows, commas between.",
    ),
    (
      flags.DEFINE_integer,
      "sizes",
      12,
      "Fill so many disks of each row; training has 3.",
    ),
    (flags.DEFINE_integer, "seed", 0, "Draw the sizes from this seed."),
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


def run(argv: Sequence[str]) -> int:
  """Fills, prints, and writes a file if asked to; returns the exit code."""
  values = define_flags()
  names = rows.chosen(argv, values, {**ROWS, "training": None}, {"sizes": 1})
  if not os.environ.get(INSIDE):
    return _again_inside(argv)
  table = {}
  for name in names:
    rng = random.Random(f"{name} {values.seed}")
    if name == "training":
      found = [train(kb) for kb in (300, 1000, rng.randrange(1500, 2500))]
    else:
      sizes = [rng.randrange(20, 800) for _ in range(values.sizes)]
      found = [fill(ROWS[name], kb) for kb in sizes]
    table[name] = found
    fine = sum(good(each) for each in found)
    print(f"{name:<12}{fine:>4} of {len(found)} good", flush=True)
    for each in found:
      if not good(each):
        print(f"  {each}", flush=True)
  rows.write(values, table, seed=values.seed)
  return 0 if all(good(each) for row in table.values() for each in row) else 1


def _again_inside(argv: Sequence[str]) -> int:
  """Runs this command again, where it may mount; returns the exit code."""
  if not can_mount():
    raise errors.UserError(
      "Small disks cannot be mounted here; use Linux, with `unshare` and user "
      "namespaces allowed."
    )
  command = [*UNSHARE, sys.executable, "-m", "benchmarks.full_disk", *argv]
  return subprocess.run(
    command, env={**os.environ, INSIDE: "1"}, check=False
  ).returncode


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return command_line.answer(run, argv, __doc__, define_flags())


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
