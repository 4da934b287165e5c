"""The probe's ranking of pseudo videos beside the ranking by trained models.

  python -m experiments.probe_ranking report [--results=results]

Reads results only: what `python -m pseudovideo.probe` wrote, from
results/probe/DATASET.json, and beside it the last-frame scores of the video
diffusion that was trained on the same pseudo videos: our Frechet distances
(results/diffusion), or the paper's FIDs. For every pair of augmentations that
the probe tells apart it asks whether the one whose earlier frames save more
error has the better score. Pairs whose scores differ by less than the largest
standard deviation over training seeds are counted apart.
"""

import dataclasses
import itertools
import pathlib
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from experiments.reporting import report as reports
from experiments.reporting import tables
from experiments.rows import base, diffusion
from experiments.running import commands
from pseudovideo import errors
from pseudovideo.probe import report as probe
from pseudovideo.runs import results

LEAST = 1e-3
"""Shares that differ by less, or by less than two standard errors, count as
equal: overfitting alone makes differences of 1e-4."""

CRITERIA = ("mean", "last")


@dataclasses.dataclass(frozen=True)
class Entry:
  """An augmentation that was probed and trained on.

  Attributes:
    label: label of the probe's result.
    frames: T.
    worth: predictor -> criterion -> (share, standard error).
    scores: scores of the last frame, one per training seed; less is better.
  """

  label: str
  frames: int
  worth: dict[str, dict[str, Sequence[float]]]
  scores: tuple[float, ...]

  @property
  def score(self) -> float:
    return float(np.mean(self.scores))


def trained_rows() -> list[base.Row]:
  """The rows that differ in their pseudo videos only."""
  return [
    row
    for row in vars(diffusion).values()
    if isinstance(row, base.Row)
    and "augmentation" in row.arguments
    and not row.overrides
  ]


def load(path: pathlib.Path) -> dict[str, Any]:
  """Reads the file that the probe wrote.

  Raises:
    UserError: there is no such file.
  """
  if not path.is_file():
    raise errors.UserError(
      f"There is no probe {path}; write it with python -m pseudovideo.probe."
    )
  return results.read_json(path)


def ours(
  record: dict[str, Any], folder: pathlib.Path, preset: str
) -> tuple[str, list[Entry]]:
  """The augmentations that we have trained with.

  Args:
    record: the probe's record of one data set.
    folder: folder of published results.
    preset: preset of the runs.

  Returns:
    Name of the score, and an entry for each augmentation that has one.
  """
  jobs = base.jobs(trained_rows(), record["data"], preset)
  scored = reports.collect(
    jobs, lambda job: job.published(folder, diffusion.FAMILY)
  )
  found, names = [], []
  for one in record["augmentations"]:
    scores = []
    for run in scored:
      if run.record["config"]["augmentation"] == one["section"]:
        metrics = run.record["metrics"]["generated"]
        names.append(next(n for n in metrics if n.startswith("FD-")))
        scores.append(metrics[names[-1]]["value"])
    if scores:
      found.append(_entry(one, scores))
  return (names or [""])[0], found


def papers(record: dict[str, Any]) -> list[Entry]:
  """The augmentations with a FID in the paper, on the same data set."""
  found = []
  for one in record["augmentations"]:
    for row in trained_rows():
      same = row.arguments == {
        "augmentation": one["section"]["name"],
        "frames": one["frames"],
      }
      if same and record["data"] in row.paper:
        found.append(_entry(one, [row.paper[record["data"]]]))
  return found


def _entry(one: dict[str, Any], scores: Iterable[float]) -> Entry:
  return Entry(one["label"], one["frames"], one["worth"], tuple(scores))


def spread(entries: Iterable[Entry]) -> float:
  """The largest standard deviation over seeds; 0 if none has several."""
  return max(
    (float(np.std(e.scores, ddof=1)) for e in entries if len(e.scores) > 1),
    default=0.0,
  )


def told_apart(first: Sequence[float], second: Sequence[float]) -> bool:
  """Decides if two shares differ; each is (share, standard error)."""
  doubt = 2 * np.hypot(first[1], second[1])
  return abs(first[0] - second[0]) > max(LEAST, doubt)


@dataclasses.dataclass(frozen=True)
class Agreement:
  """Counts of pairs that the probe tells apart, by their scores."""

  agree: int
  disagree: int
  unclear: int

  def __str__(self) -> str:
    return (
      f"{self.agree} agree, {self.disagree} disagree, {self.unclear} within "
      "the spread over seeds"
    )


def agreement(
  entries: Sequence[Entry], kind: str, criterion: str, *, same_frames: bool
) -> Agreement:
  """Counts the pairs where more saved error goes with a better score.

  Args:
    entries: augmentations with scores.
    kind: name of a predictor.
    criterion: one of `CRITERIA`.
    same_frames: True compares videos of equally many frames only.
  """
  counts = {"agree": 0, "disagree": 0, "unclear": 0}
  least = spread(entries)
  for pair in itertools.combinations(entries, 2):
    shares = [e.worth[kind][criterion] for e in pair]
    if same_frames and pair[0].frames != pair[1].frames:
      continue
    if not told_apart(*shares):
      continue
    more, less = sorted(pair, key=lambda e: -e.worth[kind][criterion][0])
    apart = less.score - more.score
    verdict = "agree" if apart > 0 else "disagree"
    counts["unclear" if abs(apart) <= least else verdict] += 1
  return Agreement(**counts)


def table(
  entries: Sequence[Entry], score: str
) -> tuple[list[str], list[list[str]]]:
  """The probe's ranking with the scores beside it."""
  kinds = list(entries[0].worth)
  header = ["augmentation"]
  for kind in kinds:
    header += [f"{kind}: saved, mean", "last frame"]
  lines = []
  for e in sorted(entries, key=lambda e: -e.worth[kinds[0]]["mean"][0]):
    shares = [probe.percent(e.worth[k][c]) for k in kinds for c in CRITERIA]
    value = f"{e.score:.3f}"
    if len(e.scores) > 1:
      value += f" ± {np.std(e.scores, ddof=1):.3f}"
    lines.append([e.label, *shares, value, str(len(e.scores))])
  return [*header, score, "seeds"], lines


def sentences(entries: Sequence[Entry]) -> list[str]:
  """Sentences that count the pairs, for every predictor and criterion."""
  names = {"mean": "mean over frames", "last": "last frame"}
  return [
    f"{kind}, {names[criterion]}: "
    + "; ".join(
      f"{which} {agreement(entries, kind, criterion, same_frames=same)}"
      for which, same in (
        ("of pairs with equally many frames", True),
        ("of all pairs", False),
      )
    )
    + "."
    for kind in entries[0].worth
    for criterion in CRITERIA
  ]


def show(title: str, score: str, entries: Sequence[Entry]) -> None:
  """Prints one comparison, if there are two scores to compare."""
  print(f"{title}\n")
  if len(entries) < 2:
    print("Fewer than two of the probed augmentations have scores.\n")
    return
  print(tables.as_text(*table(entries, score)), end="\n\n")
  print(*sentences(entries), sep="\n", end="\n\n")


def report(values: commands.Values) -> int:
  """Prints both comparisons; returns the exit code."""
  folder = pathlib.Path(values.results or "results")
  with results.from_file(folder / "probe"):
    digits, cifar10 = (
      load(folder / "probe" / f"{name}.json") for name in ("digits", "cifar10")
    )
    score, entries = ours(digits, folder, values.preset)
    title = f"digits, our results, preset {values.preset}; {score}"
    show(title, score, entries)
    show("cifar10, the paper's results; FID", "paper FID", papers(cifar10))
  return 0


COMMANDS = {"report": commands.Command(("preset", "results"), report)}


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return commands.main(COMMANDS, __doc__, argv)


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
