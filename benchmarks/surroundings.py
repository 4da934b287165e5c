"""Attacks by what surrounds a run: folders, other commands, changing data.

  python -m benchmarks.surroundings --attacks=20 --seed=0 --out=FILE.json

Each attack is done to fresh folders, and is right if the run ends as without
it, or is refused in a sentence that says what to do, with nothing lost. Rows:

  names  folders whose names are drawn from characters that patterns, shells and
         addresses read otherwise: trained, resumed, sampled from
  two    two commands at once, a random moment apart, one of which is killed in
         half of the attacks: one trains and the other is refused; afterwards
         the run is whole and of one command alone
  data   photos replaced, added, removed, renamed or altered after training:
         resuming is refused until it is accepted, evaluation says it; or moved:
         training goes on from the new place
  homes  no home, or a cache or a folder for temporary files that is missing,
         closed, a file, or has an odd name; root becomes another user, whom
         nobody knows: a run is trained and scored as elsewhere, with no more
         than a line for each kind of thing that cannot be kept

`wrong` lists the attacks that went otherwise; 1 is returned if there are any.
"""

import contextlib
import functools
import io
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from absl import flags
from PIL import Image

from benchmarks import rows
from configs import hvae
from pseudovideo import errors, runs
from pseudovideo.config import parsing
from pseudovideo.devices import programs, xla
from pseudovideo.evaluation import evaluate
from pseudovideo.runs import checkpoints, metric_log, trained_on
from pseudovideo.terminal import command_line
from pseudovideo.training import loop

ODD = "[]*?{}()!^$&|;<>'\"`\\%#@~=+,: \t\n-.äß日\U0001f600ab01"
STEPS = 6
PHOTOS = 30


class Wrong(Exception):
  """An attack that did not end as promised; the message says how."""


def expect(truth: bool, words: str) -> None:
  """Raises `Wrong`, with these words, unless something is true."""
  if not truth:
    raise Wrong(words)


def config(data: str = "digits", steps: int = STEPS) -> parsing.Config:
  """The config of a few updates of a small network."""
  changes = {
    "data.name": data,
    "task.levels": 2,
    "model.multipliers": (1,),
    "model.attention": (),
    "optimizer.schedule": "constant",
    "optimizer.warmup_steps": 0,
    "evaluate.num_samples": 4,
    "evaluate.metrics": "FD",
    "train.steps": steps,
    "train.log_every": 1,
    "train.save_every": 2,
    "train.eval_every": 0,
  }
  return parsing.parse(hvae.get_config("preset=tiny"), changes)


def weights(workdir: pathlib.Path) -> list[np.ndarray]:
  """The parameters of the newest checkpoint."""
  _, parts, _ = checkpoints.load(workdir, parts=("params",))
  return jax.tree.leaves(parts)


def equal(one: pathlib.Path, other: pathlib.Path) -> bool:
  """True if the newest checkpoints of two runs have the same parameters."""
  return all(map(np.array_equal, weights(one), weights(other)))


def refusal(call: Callable[[], Any]) -> str:
  """The sentence with which a call is refused; "" if it is not."""
  try:
    call()
  except errors.UserError as error:
    return str(error)
  return ""


def odd_name(rng: random.Random) -> str:
  """A name of a folder, of one to twelve characters."""
  while True:
    name = "".join(rng.choices(ODD, k=rng.randint(1, 12)))
    if name.strip(".") and "\0" not in name:
      return name


def attack_name(folder: pathlib.Path, rng: random.Random) -> None:
  """Trains in a folder with an odd name, in two parts."""
  plain, odd = folder / "plain", folder / odd_name(rng) / odd_name(rng)
  loop.train(config(), plain)
  for steps in (3, STEPS):
    loop.train(config(steps=steps), odd)
  expect(equal(plain, odd), f"{odd.name!r}: other weights")
  expect(len(evaluate.draw(runs.restore(odd)).images) == 4, "no samples")
  names = [path.name for path in (odd / checkpoints.FOLDER).iterdir()]
  expect(all(map(str.isdecimal, names)), f"{odd.name!r} holds {names}")


def _start(workdir: pathlib.Path, seed: int) -> subprocess.Popen[str]:
  arguments = [
    "--config=configs/hvae.py:preset=tiny", f"--workdir={workdir}",
    "--config.train.steps=60", "--config.train.log_every=1",
    "--config.train.save_every=5", f"--config.train.seed={seed}",
  ]  # fmt: skip
  return subprocess.Popen(
    [sys.executable, "-m", "pseudovideo.main", *arguments],
    stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
  )  # fmt: skip


def attack_two(folder: pathlib.Path, rng: random.Random) -> None:
  """Starts two commands in one folder, and kills one in half of the cases."""
  workdir = folder / "run"
  both = [_start(workdir, 0)]
  time.sleep(rng.choice([0, 0, rng.uniform(0, 15)]))
  both.append(_start(workdir, 1))
  if rng.random() < 0.5:
    time.sleep(rng.uniform(3, 15))
    rng.choice(both).kill()
  said = [process.communicate()[1] for process in both]
  codes = [process.returncode for process in both]
  expect(
    set(codes) <= {0, 2, -9} and "Traceback" not in "".join(said),
    f"exit codes {codes}: {said}",
  )
  expect(codes.count(0) < 2, "both said that they trained")
  logged = metric_log.read_metrics(workdir)
  steps = [row["step"] for row in logged if row["split"] == "train"]
  expect(steps == sorted(set(steps)), f"lines of two runs: {steps}")
  if 0 in codes:
    seed = runs.saved_config(workdir).train.seed
    expect(codes[seed] == 0, f"the weights are of command {seed}, {codes}")
    expect(runs.restore(workdir).step == 60, "steps are missing")


def photos(folder: pathlib.Path, names: Sequence[str], seed: int) -> None:
  """Writes grey 8x8 images of noise."""
  folder.mkdir(exist_ok=True)
  for name in names:
    noise = np.random.default_rng([seed, int(name)])
    pixels = noise.integers(0, 256, (8, 8), np.uint8)
    Image.fromarray(pixels).save(folder / f"{name}.png")


def _alter(path: pathlib.Path) -> None:
  pixels = np.array(Image.open(path))
  pixels[0, 0] ^= 1
  Image.fromarray(pixels).save(path)


def _move_all(folder: pathlib.Path, rng: random.Random) -> None:
  names = [str(i) for i in range(PHOTOS)]
  shutil.rmtree(folder)
  photos(folder, names, rng.randrange(2**30))


CHANGES: dict[str, Callable[[pathlib.Path, random.Random], Any]] = {
  "replaced": _move_all,
  "added": lambda folder, rng: photos(folder, [str(rng.randrange(99, 999))], 1),
  "removed": lambda folder, rng: rng.choice(sorted(folder.iterdir())).unlink(),
  "renamed": lambda folder, rng: rng.choice(sorted(folder.iterdir())).rename(
    folder / f"0{rng.randrange(99)}.png"
  ),
  "altered": lambda folder, rng: _alter(rng.choice(sorted(folder.iterdir()))),
}


def attack_data(folder: pathlib.Path, rng: random.Random) -> None:
  """Changes or moves the photos between two parts of a training."""
  images, workdir = folder / "photos", folder / "run"
  photos(images, [str(i) for i in range(PHOTOS)], rng.randrange(2**30))
  given = config(f"folder:{images}", steps=2)
  loop.train(given, workdir)
  before = checkpoints.facts(workdir).data or {}
  more = given.replaced("train", steps=STEPS)
  kind = rng.choice([*CHANGES, "moved"])
  if kind == "moved":
    moved = images.rename(folder / "elsewhere")
    loop.train(more.replaced("data", name=f"folder:{moved}"), workdir)
    expect(runs.restore(workdir).step == STEPS, "did not go on")
    return
  CHANGES[kind](images, rng)
  record = evaluate.evaluate(runs.restore(workdir))["data"]
  same = record["fingerprint"] == before["fingerprint"]
  if same:  # A photo that was renamed within its place in the order.
    loop.train(more, workdir)
    return
  expect(bool(trained_on.sentences(record)), f"{kind}: not said")
  said = refusal(lambda: loop.train(more, workdir))
  expect("accept_changed" in said, f"{kind}: resumed, {said!r}")
  loop.train(more.replaced("data", accept_changed=True), workdir)
  after = checkpoints.facts(workdir).data or {}
  kept = set(before["held_out"]) & {path.name for path in images.iterdir()}
  ours = runs.restore(workdir).image_set.held_out_names or ()
  expect(set(after["held_out"]) >= kept, f"{kind}: names are forgotten")
  expect(len(kept) < 2 or set(ours) == kept, f"{kind}: another split")


PLACES: dict[str, Callable[[pathlib.Path, random.Random], str | None]] = {
  "unset": lambda folder, rng: None,
  "empty": lambda folder, rng: "",
  "missing": lambda folder, rng: str(folder / "missing" / "below"),
  "file": lambda folder, rng: str(_a_file(folder / "file")),
  "below a file": lambda folder, rng: str(_a_file(folder / "file") / "below"),
  "closed": lambda folder, rng: str(_made(folder / "closed", 0o555)),
  "odd": lambda folder, rng: str(_made(folder / odd_name(rng), 0o777)),
}
VARIABLES = ("HOME", "XDG_CACHE_HOME", "TMPDIR")
AS_NOBODY = ("setpriv", "--reuid=12345", "--regid=12345", "--clear-groups")


def _a_file(path: pathlib.Path) -> pathlib.Path:
  path.touch()
  return path


def _made(path: pathlib.Path, mode: int) -> pathlib.Path:
  path.mkdir(exist_ok=True)
  path.chmod(mode)
  return path


@functools.cache
def _python() -> list[str]:
  """The command of Python: root's as another user, if that is possible."""
  if os.geteuid():
    return [sys.executable]
  command = [*AS_NOBODY, sys.executable]
  try:
    done = subprocess.run([*command, "-c", "import jax"], check=False)
  except OSError:
    return [sys.executable]
  return [sys.executable] if done.returncode else command


def attack_home(folder: pathlib.Path, rng: random.Random) -> None:
  """Trains and scores where home, cache or temporary folder are odd."""
  folder.chmod(0o755)
  work, odd = _made(folder / "work", 0o777), _made(folder / "odd", 0o755)
  environment = dict(os.environ)
  environment.pop(programs.VARIABLE, None)
  chosen = {name: rng.choice(list(PLACES)) for name in VARIABLES}
  for name, kind in chosen.items():
    value = PLACES[kind](odd, rng)
    environment.pop(name, None)
    if value is not None:
      environment[name] = value
  workdir = work / "run[0]"
  for mode in ("train", "evaluate"):
    arguments = [f"--mode={mode}", f"--workdir={workdir}"]
    if mode == "train":
      arguments += ["--config=configs/hvae.py:preset=tiny"]
      arguments += ["--config.train.steps=4"]
    done = subprocess.run(
      [*_python(), "-m", "pseudovideo.main", *arguments],
      capture_output=True, text=True, env=environment, check=False,
    )  # fmt: skip
    said = [line for line in done.stderr.splitlines() if "kept in" in line]
    kinds = [line.split(" cannot be kept")[0] for line in said]
    expect(
      done.returncode == 0 and "Traceback" not in done.stderr,
      f"{chosen}: {done.returncode}, {done.stderr[-500:]}",
    )
    expect(len(kinds) == len(set(kinds)), f"{chosen}: said twice, {said}")
  left = [p.name for p in work.rglob(".*") if p.suffix == ".part"]
  expect(not left, f"{chosen}: {left} was left")


ROWS = {
  "names": attack_name,
  "two": attack_two,
  "data": attack_data,
  "homes": attack_home,
}


def attacked(
  attack: Callable[[pathlib.Path, random.Random], None],
  num: int,
  rng: random.Random,
) -> dict[str, Any]:
  """Does `num` attacks; returns their number, and those that went wrong."""
  wrong = []
  for _ in range(num):
    with (
      tempfile.TemporaryDirectory() as scratch,
      contextlib.redirect_stdout(io.StringIO()),
      contextlib.redirect_stderr(io.StringIO()),
    ):
      try:
        attack(pathlib.Path(scratch), rng)
      except Exception as error:  # Whatever happens is what is looked for.
        wrong.append(f"{type(error).__name__}: {error}")
  return {"attacks": num, "wrong": wrong}


def define_flags() -> flags.FlagValues:
  """Defines the flags of the command."""
  return rows.define_flags(
    list(ROWS),
    None,
    {
      "attacks": (20, "Attack every row so many times."),
      "seed": (0, "Draw the attacks from this seed."),
    },
  )


def run(argv: Sequence[str]) -> int:
  """Attacks, prints, and writes a file if asked to; returns the exit code."""
  values = define_flags()
  chosen = rows.chosen(argv, values, ROWS, {"attacks": 1})
  xla.enable_cache()
  table = {}
  for name, attack in chosen.items():
    rng = random.Random(f"{name} {values.seed}")
    table[name] = attacked(attack, values.attacks, rng)
    wrong = table[name]["wrong"]
    print(f"{name:<8}{values.attacks:>4} attacks {len(wrong):>4} wrong")
    for words in wrong:
      print(f"  {words}", flush=True)
  rows.write(values, table, seed=values.seed)
  return 1 if any(found["wrong"] for found in table.values()) else 0


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return command_line.answer(run, argv, __doc__, define_flags())


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
