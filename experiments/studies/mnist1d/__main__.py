"""Convolutions and pseudo videos on 1-D digits; an experiment of a lecture.

  python -m experiments.mnist1d run --preset=small
  python -m experiments.mnist1d report --preset=small

Trains a convolutional and a fully connected classifier on 4,000 signals that
`signals.py` makes of the embedded digits, and tests them on 1,000 others.
Then it asks of signals what the paper asks of images: does a diffusion model
draw better ones if it learns them as the last frames of pseudo videos? Its
1-frame baselines have the same network and as many updates, or as many frames
in the network (3 times the updates). Runs that are finished are not repeated.
`report` prints both tables and writes ROOT/mnist1d/report-PRESET.html.
"""

import dataclasses
import functools
import pathlib
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from experiments.reporting import report, tables
from experiments.running import commands
from experiments.studies.mnist1d import classifiers, videos
from experiments.studies.mnist1d import signals as mnist1d_signals
from experiments.studies.mnist1d.videos import Budget, Video
from pseudovideo import data as data_sets
from pseudovideo import errors, shapes
from pseudovideo.report import page
from pseudovideo.runs import results
from pseudovideo.terminal import command_line

Record = dict[str, Any]
FAMILY = "mnist1d"
ERROR = "error"


@dataclasses.dataclass(frozen=True)
class Preset:
  """Numbers of signals, and the trainings.

  Attributes:
    num_train: number of signals to train on.
    num_test: number of held-out signals.
    epochs: epochs of the classifiers.
    classifier_seeds: training seeds of every classifier.
    video_seeds: training seeds of every video model.
    budget: size and training of the video models.
  """

  num_train: int = 4000
  num_test: int = 1000
  epochs: int = 100
  classifier_seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
  video_seeds: tuple[int, ...] = (0, 1, 2)
  budget: Budget = dataclasses.field(default_factory=Budget)


PRESETS = {
  "small": Preset(),
  "tiny": Preset(
    num_train=200,
    num_test=100,
    epochs=2,
    classifier_seeds=(0, 1),
    video_seeds=(0,),
    budget=Budget(
      channels=8,
      blocks=1,
      process_steps=40,
      respacing="2",
      updates=2,
      batch_size=4,
      num_samples=8,
    ),
  ),
}
# Name -> label and the lecture's test error in percent.
CLASSIFIERS = {
  "convolutional": ("convolutional", 17),
  "fully_connected": ("fully connected", 40),
}
VIDEO_SCORES = (videos.OF_NETWORK, videos.OF_POINTS)
VIDEOS = {
  "one_frame": ("1 frame", Video("identity", 1)),
  "one_frame_long": (
    "1 frame, 3 times the updates",
    Video("identity", 1, times=3),
  ),
  "high_order_4": ("4 frames, high order", Video("high_order", 4)),
  "blur_4": ("4 frames, blur", Video("blur", 4, {"padding": "circular"})),
}
LECTURE = (
  "The lecture's text gives the errors above, on other signals, and "
  '"almost 300 times less parameters"; these are its values, not targets. The '
  "sizes of the networks are from the book that it shows figures of, and "
  "their parameters differ by a factor of {ratio:.1f}, not of almost 300."
)
ONE_DATA_SET = (
  "Mean and standard deviation over training seeds, on one set of signals."
)


@dataclasses.dataclass(frozen=True)
class Work:
  """Signals, scorer and folders that the runs of one command share.

  Attributes:
    preset: a key of `PRESETS`.
    root: folder of all runs.
  """

  preset: str
  root: str

  @property
  def size(self) -> Preset:
    return PRESETS[self.preset]

  @functools.cached_property
  def signals(self) -> mnist1d_signals.Signals:
    return mnist1d_signals.make(self.size.num_train, self.size.num_test)

  @functools.cached_property
  def scorer(self) -> videos.Scorer:
    """A scorer over the convolutional classifier of seed 0, trained here."""
    network = classifiers.NETWORKS["convolutional"]
    trained = classifiers.train(
      network, self.signals, epochs=self.size.epochs, seed=0
    )
    return videos.Scorer(
      network, trained.params, trained.test_errors[-1], self.signals
    )

  def path(self, name: str, seed: int, root: str | None = None) -> pathlib.Path:
    """The results file of one run."""
    folder = pathlib.Path(root or self.root, FAMILY, f"digits-{self.preset}")
    return folder / f"{name}-seed{seed}.json"


def runs(preset: Preset) -> list[tuple[str, int, Callable[..., Record]]]:
  """Name, seed and function of every run: the first seeds first."""
  found = [
    (seed, name, function)
    for names, seeds, function in (
      (CLASSIFIERS, preset.classifier_seeds, classifier_record),
      (VIDEOS, preset.video_seeds, video_record),
    )
    for name in names
    for seed in seeds
  ]
  order = [classifier_record, video_record]
  found.sort(key=lambda run: (order.index(run[2]), run[0]))
  return [(name, seed, function) for seed, name, function in found]


def config(work: Work, name: str) -> Record:
  """The settings of a run of this name, without its seed."""
  common = {
    "name": name,
    "num_train": work.size.num_train,
    "num_test": work.size.num_test,
    "epochs": work.size.epochs,
  }
  if name in CLASSIFIERS:
    return common
  video = VIDEOS[name][1]
  return common | {
    "budget": dataclasses.asdict(work.size.budget),
    "video": dataclasses.asdict(video),
  }


def classifier_record(work: Work, name: str, seed: int) -> Record:
  """Trains one classifier; returns its record."""
  network = classifiers.NETWORKS[name]
  start = time.monotonic()
  trained = classifiers.train(
    network, work.signals, epochs=work.size.epochs, seed=seed
  )
  per_epoch = work.size.num_train // classifiers.BATCH_SIZE
  updates = work.size.epochs * per_epoch
  curves = {"train": trained.train_errors, "test": trained.test_errors}
  return {
    "metrics": {
      split: {ERROR: _error(curve[-1], split, work.size)}
      for split, curve in curves.items()
    },
    "curves": curves,
    "seeds": {"train": seed},
    "ema": False,
    "step": updates,
    "images_seen": updates * classifiers.BATCH_SIZE,
    "num_parameters": shapes.count_parameters(trained.params),
    "network_evaluations": 1,
    "wall_seconds": {"train": time.monotonic() - start},
    **_origin(work, name),
  }


def _error(value: float, split: str, size: Preset) -> Record:
  return {
    "name": ERROR,
    "value": value,
    "definition": "Part of the signals that are given a wrong digit.",
    "num_samples": size.num_train if split == "train" else size.num_test,
    "reference_split": split,
    "reference_size": None,
  }


def video_record(work: Work, name: str, seed: int) -> Record:
  """Trains one video model, samples and scores it; returns its record."""
  video, budget = VIDEOS[name][1], work.size.budget
  task = videos.make_task(video, budget)
  images = mnist1d_signals.to_images(work.signals.train)
  updates = video.times * budget.updates
  start = time.monotonic()
  params = videos.train(task, images, budget, updates=updates, seed=seed)
  trained = time.monotonic()
  samples, _ = videos.sample(task, params, num=budget.num_samples, seed=seed)
  sampled = time.monotonic()
  return {
    "metrics": {
      "generated": work.scorer.scores(samples),
      "real": work.scorer.scores(images[: budget.num_samples]),
    },
    "examples": np.round(
      mnist1d_signals.from_images(samples[:3]).astype(float), 3
    ).tolist(),
    "seeds": {"train": seed, "sample": seed},
    "ema": True,
    "step": updates,
    "images_seen": updates * budget.batch_size,
    "num_parameters": shapes.count_parameters(params),
    "network_evaluations": task.network_evaluations,
    "wall_seconds": {"train": trained - start, "sample": sampled - trained},
    **_origin(work, name),
  }


def _origin(work: Work, name: str) -> Record:
  digits = data_sets.load("digits")
  return {
    "data": {
      "name": FAMILY,
      "source": f"Made by experiments/studies/mnist1d of: {digits.source}",
      "fingerprint": digits.fingerprint,
    },
    "config": config(work, name),
    "provenance": results.provenance(),
  }


def finished(work: Work, name: str, seed: int, root: str) -> Record | None:
  """The record of a run; None unless it is there and of these settings."""
  path = work.path(name, seed, root)
  if not path.exists():
    return None
  scores = {"test": [ERROR], "train": [ERROR]}
  if name in VIDEOS:
    scores = dict.fromkeys(("generated", "real"), VIDEO_SCORES)
  try:
    with results.from_file(path):
      record = results.read(path)
      for row, kinds in scores.items():
        _ = [record["metrics"][row][kind]["value"] for kind in kinds]
  except errors.UserError as error:
    print(f"{name}, seed {seed} is left out: {error}", file=sys.stderr)
    return None
  return record if record["config"] == config(work, name) else None


def collect(work: Work, root: str) -> Mapping[str, list[Record]]:
  """Name of a row -> the records of its seeds.

  Raises:
    UserError: there are no results, or they cannot stand in one table.
  """
  found = {name: [] for name in (*CLASSIFIERS, *VIDEOS)}
  for name, seed, _ in runs(work.size):
    record = finished(work, name, seed, root)
    if record is not None:
      found[name].append(record)
  if not any(found.values()):
    raise errors.UserError(
      f"There are no results of preset {work.preset!r} below {root}; make them "
      "with run instead of report."
    )
  scored = {
    f"{name} {i}": record
    for name in VIDEOS
    for i, record in enumerate(found[name])
  }
  if scored:
    tables.check_comparable(scored)
  return found


def spread(values: Sequence[float], digits: int) -> str:
  """Mean and standard deviation (n - 1), as text; of one value, itself."""
  if not values:
    return tables.NOTHING
  text = f"{statistics.fmean(values):.{digits}f}"
  if len(values) == 1:
    return text
  return f"{text} \N{PLUS-MINUS SIGN} {statistics.stdev(values):.{digits}f}"


def classifier_table(
  records: Mapping[str, list[Record]],
) -> tuple[list[str], list[list[str]]]:
  """Header and rows; errors in percent."""
  header = [
    "", "lecture's error, %", "test error, %", "training error, %",
    "parameters", "epochs", "seeds",
  ]  # fmt: skip
  rows = []
  for name, (label, lecture) in CLASSIFIERS.items():
    errors_of = {
      split: [100 * r["metrics"][split][ERROR]["value"] for r in records[name]]
      for split in ("test", "train")
    }
    rows.append(
      [
        label,
        str(lecture),
        *(spread(values, 1) for values in errors_of.values()),
        _first(records[name], lambda r: f"{r['num_parameters']:,}"),
        _first(records[name], lambda r: str(r["config"]["epochs"])),
        str(len(records[name])),
      ]
    )
  return header, rows


def video_table(
  records: Mapping[str, list[Record]],
) -> tuple[list[str], list[list[str]]]:
  """Header and rows; the last row is training against held-out signals."""

  def cells(of_row: Sequence[Record], which: str) -> list[str]:
    return [
      spread([r["metrics"][which][score]["value"] for r in of_row], digits)
      for score, digits in zip(VIDEO_SCORES, (1, 4), strict=True)
    ]

  header = [
    "", *VIDEO_SCORES, "updates", "evaluations", "parameters", "seeds",
  ]  # fmt: skip
  rows = [
    [
      label,
      *cells(records[name], "generated"),
      _first(records[name], lambda r: f"{r['step']:,}"),
      _first(records[name], lambda r: f"{r['network_evaluations']:,}"),
      _first(records[name], lambda r: f"{r['num_parameters']:,}"),
      str(len(records[name])),
    ]
    for name, (label, _) in VIDEOS.items()
  ]
  everything = [record for name in VIDEOS for record in records[name]]
  rows.append(
    ["training signals", *cells(everything[:1], "real"), *[tables.NOTHING] * 4]
  )
  return header, rows


def _first(records: Sequence[Record], say: Callable[[Record], str]) -> str:
  return say(records[0]) if records else tables.NOTHING


def notes(records: Mapping[str, list[Record]]) -> list[str]:
  """Sentences below the first table."""
  counts = [
    records[name][0]["num_parameters"] for name in CLASSIFIERS if records[name]
  ]
  if len(counts) < 2:
    return [ONE_DATA_SET]
  return [ONE_DATA_SET, LECTURE.format(ratio=max(counts) / min(counts))]


def write_page(
  path: pathlib.Path, work: Work, records: Mapping[str, list[Record]]
) -> pathlib.Path:
  """The page: both tables, curves of the errors, signals real and drawn."""
  paper = page.Report(
    "1-D digits", "Two classifiers, and pseudo videos of signals."
  )
  paper.section("Classifiers", " ".join(notes(records)))
  paper.table(*classifier_table(records))
  paper.chart(
    error_curves(records), "epoch", "held-out error, %", "Means over seeds."
  )
  paper.section("Pseudo videos")
  paper.table(*video_table(records))
  points = np.arange(mnist1d_signals.POINTS)
  examples = {"held-out signals": work.signals.test[:3]}
  examples |= {
    VIDEOS[name][0]: records[name][0]["examples"]
    for name in VIDEOS
    if records[name]
  }
  for label, signals in examples.items():
    series = {str(i + 1): (points, signal) for i, signal in enumerate(signals)}
    paper.chart(series, "point", label, "The first three, none picked.")
  return paper.write(path)


def error_curves(
  records: Mapping[str, list[Record]],
) -> dict[str, tuple[list[int], list[float]]]:
  """Label of a classifier -> epochs, and held-out errors in percent."""
  curves = {}
  for name, (label, _) in CLASSIFIERS.items():
    if records[name]:
      mean = np.mean([r["curves"]["test"] for r in records[name]], axis=0)
      curves[label] = (list(range(1, len(mean) + 1)), (100 * mean).tolist())
  return curves


def run(values: commands.Values) -> int:
  """Does the runs that are not finished; returns the exit code."""
  work = _work(values)
  command_line.set_up()
  for name, seed, function in runs(work.size):
    path = work.path(name, seed)
    if finished(work, name, seed, work.root) is None:
      results.write(path, function(work, name, seed))
      print(f"{path} is written.", flush=True)
    if values.publish:
      published = work.path(name, seed, values.publish)
      published.parent.mkdir(parents=True, exist_ok=True)
      shutil.copyfile(path, published)
  return 0


def show(values: commands.Values) -> int:
  """Prints both tables and writes the page; returns the exit code."""
  work = _work(values)
  found = collect(work, values.results or work.root)
  style = report.FORMATS[values.format]
  between = [] if values.format == "csv" else notes(found)
  parts = [
    style(*classifier_table(found)), *between, style(*video_table(found))
  ]  # fmt: skip
  print("\n\n".join(parts))
  path = pathlib.Path(work.root, FAMILY, f"report-{work.preset}.html")
  write_page(path, work, found)
  print(f"\nThe page is {path}.")
  return 0


def _work(values: commands.Values) -> Work:
  errors.look_up("preset", values.preset, PRESETS)
  return Work(values.preset, values.root)


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return commands.main(
    {
      "run": commands.Command(("preset", "root", "publish"), run),
      "report": commands.Command(("preset", "root", "results", "format"), show),
    },
    __doc__,
    argv,
  )


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
