"""Damages files of runs and caches, each of which must be noticed.

  python -m benchmarks.damage --damages=200 --seed=0 --out=damage.json

Each damage is done to a fresh copy: a bit flipped, bytes set to zero, a file
cut, removed, or replaced by a file of another checkpoint or data set. Half of
the files are drawn by their size, half without regard to it. The rows:

  checkpoint        of a trained run: the newest step is damaged; it must be
                    refused where only it is wanted, and else the step before be
                    restored
  data_cache        decoded images, which must be made again
  tokens_cache      ids of a tokenizer, which must be made again
  classifier_cache  a network for scores, which must be trained again
  features_cache    what it sees of images, which must be made again
  tokens            a folder of ids for other programs, which must be refused

and the fates of the damages:

  detected   the right bits were used, and a sentence named the array or file
  unnamed    the right bits were used, but the sentence does not say where
  identical  nothing was said, and nothing was wrong: all that came back is, bit
             for bit, what was saved (half of orbax's files are never read)
  silent     anything else; 1 is returned where there is any, or any unnamed
"""

import collections
import contextlib
import dataclasses
import logging
import os
import pathlib
import random
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
from absl import flags
from PIL import Image

from benchmarks import rows
from configs import hvae, tokenizer
from pseudovideo import data, errors, runs
from pseudovideo.config import parsing
from pseudovideo.devices import xla
from pseudovideo.files import atomic
from pseudovideo.first_stages import token_files
from pseudovideo.metrics import sources, summary
from pseudovideo.pretrained import classifier, classifier_training, features
from pseudovideo.runs import checkpoints
from pseudovideo.terminal import command_line
from pseudovideo.training import loop, state

FATES = ("detected", "unnamed", "identical", "silent")
PARTS = tuple(field.name for field in dataclasses.fields(state.TrainState))
NAMED = re.compile(r"the array \S+|its manifest|it holds step")
"""The damaged part, in the sentences of `pseudovideo.runs.checkpoints`."""

# Damages. Each changes a file; `other` is one that may take its place.


def _flip(path: pathlib.Path, other: pathlib.Path, rng: random.Random) -> None:
  content = bytearray(path.read_bytes())
  content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
  path.write_bytes(content)


def _zero(path: pathlib.Path, other: pathlib.Path, rng: random.Random) -> None:
  content = bytearray(path.read_bytes())
  start = rng.randrange(len(content))
  end = min(len(content), start + rng.randrange(1, 4096))
  content[start:end] = bytes(end - start)
  path.write_bytes(content)


def _cut(path: pathlib.Path, other: pathlib.Path, rng: random.Random) -> None:
  os.truncate(path, rng.randrange(path.stat().st_size))


def _remove(
  path: pathlib.Path, other: pathlib.Path, rng: random.Random
) -> None:
  path.unlink()


def _replace(
  path: pathlib.Path, other: pathlib.Path, rng: random.Random
) -> None:
  shutil.copyfile(other, path)


DAMAGES = {
  "flip": _flip,
  "zero": _zero,
  "cut": _cut,
  "remove": _remove,
  "replace": _replace,
}


@dataclasses.dataclass(frozen=True)
class Kept:
  """Something on disk, and its reader.

  Attributes:
    clean: a folder that holds all of it, and is never touched.
    victim: name of the folder in it that is damaged.
    twin: name of another folder of that kind, to take files from.
    judge: a damaged copy of `clean` -> one of `FATES`, and the sentences.
  """

  clean: pathlib.Path
  victim: str
  twin: str
  judge: Callable[[pathlib.Path], tuple[str, str]]


def files_below(folder: pathlib.Path) -> list[pathlib.Path]:
  """The files in a folder and below it, sorted."""
  return sorted(path for path in folder.rglob("*") if path.is_file())


def spoil(
  kept: Kept, copy: pathlib.Path, kind: str, rng: random.Random, by_size: bool
) -> str:
  """Does one damage, and draws again until a file is another than before.

  Returns:
    The name of the file, relative to the victim.
  """
  victim = copy / kept.victim
  candidates = [path for path in files_below(victim) if path.stat().st_size]
  weights = [path.stat().st_size if by_size else 1 for path in candidates]
  while True:
    path = rng.choices(candidates, weights)[0]
    other = _counterpart(path, victim, copy / kept.twin, rng)
    before = path.read_bytes()
    DAMAGES[kind](path, other, rng)
    if not path.exists() or path.read_bytes() != before:
      return path.relative_to(victim).as_posix()


def _counterpart(
  path: pathlib.Path,
  folder: pathlib.Path,
  twin: pathlib.Path,
  rng: random.Random,
) -> pathlib.Path:
  """The file of that name in `twin`, or one from the same place."""
  name = path.relative_to(folder)
  if (twin / name).exists():
    return twin / name
  return rng.choice(files_below((twin / name).parent))


@contextlib.contextmanager
def listening() -> Iterator[list[str]]:
  """Collects the package's log, which is not printed meanwhile."""
  said: list[str] = []
  handler = logging.Handler(logging.WARNING)
  handler.emit = lambda record: said.append(record.getMessage())
  logger = logging.getLogger("absl")
  propagate, logger.propagate = logger.propagate, False
  logger.addHandler(handler)
  try:
    yield said
  finally:
    logger.removeHandler(handler)
    logger.propagate = propagate


def bits(tree: Any) -> dict[str, tuple[str, tuple, bytes]]:
  """Name -> dtype, shape and bytes of every array in a tree."""
  return {
    name: (str(leaf.dtype), leaf.shape, np.asarray(leaf).tobytes())
    for name, (_, leaf) in checkpoints.entries.named_leaves(tree).items()
  }


# Rows: each makes, in an empty folder, something that is kept.


def checkpoint(folder: pathlib.Path) -> Kept:
  """Two checkpoints of a tiny run."""
  raw = parsing.complete(hvae.get_config("preset=tiny"))
  raw["train"] |= dict(steps=4, save_every=2, eval_every=0)
  loop.train(raw, folder)
  return Kept(
    folder / checkpoints.FOLDER,
    "4",
    "2",
    checkpoint_judge(folder, newest=4, before=2),
  )


def checkpoint_judge(
  workdir: pathlib.Path, *, newest: int, before: int
) -> Callable[[pathlib.Path], tuple[str, str]]:
  """Restores a damaged copy twice, without and with falling back.

  Args:
    workdir: folder of the run that is whole.
    newest: the step that is damaged in the copies.
    before: the step that is to be restored instead.
  """
  wanted = {}
  for step in (newest, before):
    _, tree, config = checkpoints.load(workdir, step, PARTS)
    wanted[step] = bits(tree), config
  like = tree

  def restored(directory: pathlib.Path, **how: Any) -> int | None:
    """The restored step, or None if its arrays are not those saved."""
    store = checkpoints.Checkpoints(directory, cleanup="fallback" not in how)
    try:
      step, found, config = store.restore(like=like, **how)
    finally:
      store.close()
    return step if (bits(found), config) == wanted[step] else None

  def judge(directory: pathlib.Path) -> tuple[str, str]:
    try:
      with listening():
        alone = restored(directory, fallback=False)
    except errors.UserError as error:
      refusal = str(error)
    else:
      good = alone == newest == restored(directory)
      return ("identical" if good else "silent"), ""
    with listening() as said:
      step = restored(directory)
    aside = (directory / f"damaged-{newest}").is_dir()
    if step != before or not aside:
      return "silent", refusal
    text = " ".join(said)
    named = NAMED.search(refusal) and NAMED.search(text)
    return ("detected" if named else "unnamed"), refusal

  return judge


def _cache_judge(
  load: Callable[[], dict[str, np.ndarray]],
) -> Callable[[pathlib.Path], tuple[str, str]]:
  """Loads from a damaged copy of `$XDG_CACHE_HOME`."""
  wanted = bits(load())

  def judge(home: pathlib.Path) -> tuple[str, str]:
    with cache_home(home), listening() as said:
      found = bits(load())
      # What was made again is whole: a second reading finds no fault.
      again, once = bits(load()), len(said)
    text = " ".join(said)
    if not found == again == wanted or once > 1:
      return "silent", text
    if not said:
      return "identical", ""
    return _named(text), text

  return judge


def _named(text: str) -> str:
  named = re.search(r"\w+\.np[yz]|meta\.json", text) and "is damaged" in text
  return "detected" if named else "unnamed"


@contextlib.contextmanager
def cache_home(folder: pathlib.Path) -> Iterator[None]:
  """Sets `$XDG_CACHE_HOME` to a folder."""
  before = os.environ.get("XDG_CACHE_HOME")
  os.environ["XDG_CACHE_HOME"] = str(folder)
  try:
    yield
  finally:
    del os.environ["XDG_CACHE_HOME"]
    if before is not None:
      os.environ["XDG_CACHE_HOME"] = before


def _cached(
  home: pathlib.Path, kind: str, loads: Sequence[Callable[[], Any]]
) -> tuple[str, str]:
  """Fills a cache with two sets; returns their folders, relative to `home`."""
  names = []
  with cache_home(home):
    for load in loads:
      load()
      inside = home / "pseudovideo" / kind
      found = {p.relative_to(home).as_posix() for p in inside.iterdir()}
      names += sorted(found - set(names))
  return names[0], names[1]


def data_cache(folder: pathlib.Path) -> Kept:
  """Two folders of 40 images, decoded."""
  rng, loads = np.random.default_rng(0), []
  for name in "ab":
    (folder / name).mkdir()
    for number in range(40):
      image = rng.integers(0, 256, (8, 8, 3), np.uint8)
      Image.fromarray(image).save(folder / name / f"{number}.png")
    loads.append(_folder_loader(folder / name))
  home = folder / "home"
  names = _cached(home, "data", loads)
  with cache_home(home):
    return Kept(home, *names, _cache_judge(loads[0]))


def _folder_loader(folder: pathlib.Path) -> Callable[[], dict]:
  def load() -> dict[str, np.ndarray]:
    found = data.load(f"folder:{folder}")
    return {"train": found.train_images, "test": found.test_images}

  return load


def untrained_tokenizer(folder: pathlib.Path) -> runs.Run:
  """A tiny tokenizer as it begins, and 96 digits."""
  raw = parsing.complete(tokenizer.get_config("frames=8,preset=tiny"))
  config = parsing.parse(raw)
  image_set = part_of_digits(0)
  task = config.make_task(image_set.image_shape)
  params, extra = task.init(jax.random.key(0), image_set)
  return runs.Run(
    folder, config, task, params, extra, 0, None, lambda: image_set
  )


def part_of_digits(start: int) -> data.ImageSet:
  """64 digits to train on and 32 held out."""
  whole = data.load("digits")
  cut = slice(start, start + 64), slice(start, start + 32)
  return dataclasses.replace(
    whole,
    train_images=whole.train_images[cut[0]],
    train_labels=whole.train_labels[cut[0]],
    test_images=whole.test_images[cut[1]],
    test_labels=whole.test_labels[cut[1]],
    fingerprint=f"{whole.fingerprint} from {start}",
  )


def tokens_cache(folder: pathlib.Path) -> Kept:
  """The ids of two parts of the digits."""
  run = untrained_tokenizer(folder)
  loads = [
    lambda part=part: dict(token_files.cached(run, part, batch_size=32))
    for part in (run.image_set, part_of_digits(100))
  ]
  home = folder / "home"
  # The progress of encoding would be printed for every damage.
  with open(os.devnull, "w") as quiet, contextlib.redirect_stderr(quiet):
    names = _cached(home, "tokens", loads)
    with cache_home(home):
      judge = _cache_judge(loads[0])

  def quietly(copy: pathlib.Path) -> tuple[str, str]:
    with open(os.devnull, "w") as quiet, contextlib.redirect_stderr(quiet):
      return judge(copy)

  return Kept(home, *names, quietly)


def _network(part: data.ImageSet, folder: str) -> features.FeatureNetwork:
  """A small classifier, kept in a folder of its own in the cache."""
  recipe = classifier_training.Recipe(steps=12)
  return classifier.get_feature_network(
    part, cache=atomic.cache_dir(folder), recipe=recipe
  )


def classifier_cache(folder: pathlib.Path) -> Kept:
  """The classifiers of two parts of the digits."""
  parts = {"a": part_of_digits(0), "b": part_of_digits(100)}
  with cache_home(folder):
    for name, part in parts.items():
      _network(part, name)
    judge = _cache_judge(lambda: dict(_network(parts["a"], "a").params))
  return Kept(folder, *(f"pseudovideo/{name}" for name in parts), judge)


def features_cache(folder: pathlib.Path) -> Kept:
  """Features of two parts of the digits, by one classifier."""
  part = part_of_digits(0)
  with cache_home(folder):
    network = _network(part, "classifier")
  loads = [
    lambda part=part: _summary(network, part)
    for part in (part, part_of_digits(100))
  ]
  home = folder / "home"
  names = _cached(home, "summaries", loads)
  with cache_home(home):
    return Kept(home, *names, _cache_judge(loads[0]))


def _summary(
  network: features.FeatureNetwork, part: data.ImageSet
) -> dict[str, Any]:
  found = summary.reference(network, sources.of_split(part, "train"))
  moments = {"mean": found.moments.mean, "scatter": found.moments.scatter}
  return moments | dict(found.kept)


def tokens_folder(folder: pathlib.Path) -> Kept:
  """Two folders of tokens."""
  run = untrained_tokenizer(folder)
  other = run.on(part_of_digits(100))
  clean = folder / "clean"
  token_files.write(run, clean / "a")
  token_files.write(other, clean / "b")
  wanted = _token_bits(clean / "a")

  def judge(copy: pathlib.Path) -> tuple[str, str]:
    try:
      found = _token_bits(copy / "a")
    except errors.UserError as error:
      # Without meta.json the folder is none of tokens, which is said.
      text = str(error).replace("holds no tokens", "is damaged: no meta.json")
      return _named(text.replace("are damaged", "is damaged")), str(error)
    return ("identical" if found == wanted else "silent"), ""

  return Kept(clean, "a", "b", judge)


def _token_bits(folder: pathlib.Path) -> Any:
  found = token_files.load(folder)
  arrays = {
    name: getattr(found, name)
    for name in ("train_ids", "train_labels", "test_ids", "test_labels")
  }
  return bits({**arrays, "codebook": found.codebook}), found.about


ROWS = {
  "checkpoint": checkpoint,
  "data_cache": data_cache,
  "tokens_cache": tokens_cache,
  "classifier_cache": classifier_cache,
  "features_cache": features_cache,
  "tokens": tokens_folder,
}


def damaged(
  kept: Kept, num: int, rng: random.Random, scratch: pathlib.Path
) -> dict[str, Any]:
  """Damages `num` copies, one after another.

  Returns:
    `fates`, the number of damages by fate; these numbers `by_kind` of damage
    and `by_file`; `sentences`, one for every kind; `bad`, the silent and the
    unnamed ones.
  """
  kinds = [list(DAMAGES)[i % len(DAMAGES)] for i in range(num)]
  by_kind = {kind: dict.fromkeys(FATES, 0) for kind in dict.fromkeys(kinds)}
  by_file = collections.defaultdict(lambda: dict.fromkeys(FATES, 0))
  sentences, bad = {}, []
  copy = scratch / "copy"
  for number, kind in enumerate(kinds):
    shutil.copytree(kept.clean, copy)
    by_size = number // len(DAMAGES) % 2 == 0
    file = spoil(kept, copy, kind, rng, by_size)
    fate, said = kept.judge(copy)
    by_kind[kind][fate] += 1
    # Orbax names some files by random digits.
    by_file[re.sub(r"[0-9a-f]{32}", "*", file)][fate] += 1
    said = said.replace(str(copy), "FOLDER")
    if fate == "detected":
      sentences.setdefault(kind, f"{file}: {said}")
    if fate in ("silent", "unnamed"):
      bad.append({"file": file, "kind": kind, "fate": fate, "said": said})
    shutil.rmtree(copy)
  fates = {f: sum(row[f] for row in by_kind.values()) for f in FATES}
  return {
    "damages": num,
    "fates": fates,
    "by_kind": by_kind,
    "by_file": dict(by_file),
    "sentences": sentences,
    "bad": bad,
  }


def define_flags() -> flags.FlagValues:
  """Defines the flags of the command."""
  values = flags.FlagValues()
  for define, name, default, meaning in (
    (
      flags.DEFINE_string,
      "rows",
      ",".join(ROWS),
      "Damage these rows, commas between.",
    ),
    (flags.DEFINE_integer, "damages", 200, "Damage every row so many times."),
    (flags.DEFINE_integer, "seed", 0, "Draw the damages from this seed."),
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
  """Damages, prints, and writes a file if asked to; returns the exit code."""
  values = define_flags()
  makers = rows.chosen(argv, values, ROWS, {"damages": 1})
  xla.enable_cache()
  table = {}
  for name, make in makers.items():
    with tempfile.TemporaryDirectory() as scratch:
      folder = pathlib.Path(scratch) / "kept"
      folder.mkdir()
      rng = random.Random(f"{name} {values.seed}")
      found = damaged(make(folder), values.damages, rng, pathlib.Path(scratch))
    table[name] = found
    counts = "".join(f"  {found['fates'][fate]:>4} {fate}" for fate in FATES)
    print(f"{name:<18}{counts}", flush=True)
  rows.write(values, table, seed=values.seed)
  return 1 if any(found["bad"] for found in table.values()) else 0


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return command_line.answer(run, argv, __doc__, define_flags())


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
