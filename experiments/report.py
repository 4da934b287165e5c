"""A table from results files: the paper's score, ours, and what they cost."""

import dataclasses
import pathlib
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from experiments import tables, work
from experiments.rows import Job, Row, Table
from pseudovideo import results

Record = Mapping[str, Any]
PAPER_NAMES = {
  "cifar10": "CIFAR-10",
  "celeb_a": "CelebA",
  "mnist": "binarized MNIST",
}
FORMATS = {"text": tables.as_text, "md": tables.as_markdown}
BEYOND = "\N{DAGGER}"


@dataclasses.dataclass(frozen=True)
class Scored:
  """A finished run and what its results file holds."""

  job: Job
  record: Record


def collect(
  jobs: Iterable[Job], path: Callable[[Job], pathlib.Path]
) -> list[Scored]:
  """The runs whose results are there.

  Args:
    jobs: in the order of the table.
    path: of the results file of a run.

  Raises:
    UserError: a file lacks a field, or they cannot stand in one table.
  """
  found = [
    Scored(job, results.read(path(job))) for job in jobs if path(job).exists()
  ]
  tables.check_comparable({s.job.name: s.record for s in found})
  return found


def report(
  table: Table,
  rows: Sequence[Row],
  dataset: str,
  scored: Sequence[Scored],
  style: str = "text",
) -> str:
  """Title, table and notes.

  Args:
    table: which.
    rows: of it, to be shown; the paper's first, then the controls.
    dataset: whose paper scores are shown.
    scored: of `collect`.
    style: `text` or `md`.
  """
  lines = FORMATS[style](*score_table(table, rows, dataset, scored))
  parts = [lines, *notes(table, rows, scored)]
  return "\n\n".join(parts if style == "md" else [table.title, *parts])


def score_table(
  table: Table, rows: Sequence[Row], dataset: str, scored: Sequence[Scored]
) -> tuple[list[str], list[list[str]]]:
  """Header and rows, the held-out data last."""
  records = [s.record for s in scored]
  names = dict.fromkeys(
    name for record in records for name in record["metrics"]["generated"]
  )
  first = score_name(table, names)
  names = [first, *(name for name in names if name != first)]
  column = f"paper {table.score}"
  shown = dataset
  if not any(dataset in row.paper for row in rows):
    shown = table.stand_in
    column = f"paper, {PAPER_NAMES[shown]} {table.score}"
  bounds = ["-ELBO, nats"] if any("bound" in r for r in records) else []
  header = [
    "", column, *names, *bounds,
    "images", "evaluations", "parameters", "steps", "seconds", "seeds",
  ]  # fmt: skip
  lines = []
  for row in sorted(rows, key=lambda row: row.beyond):
    own = [s.record for s in scored if s.job.row is row]
    paper = f"{row.paper[shown]:.2f}" if shown in row.paper else tables.NOTHING
    label = f"{row.label} {BEYOND}" if row.beyond else row.label
    *cells, images = _scores(own, "generated", names)
    cells += [_bound(own)] * len(bounds) + [images, *_costs(own)]
    lines.append([label, paper, *cells])
  *real, images = _scores(records[:1], "real", names)
  real += [tables.NOTHING] * len(bounds) + [images]
  lines.append(["held-out data", tables.NOTHING, *real, *[tables.NOTHING] * 5])
  return header, lines


def score_name(table: Table, names: Iterable[str]) -> str:
  """The paper's score by the name that it has over the network at hand.

  FID has one network. The paper does not name the classifier of its Inception
  Score, and any of ours, such as `IS-mnistcls`, stands in for it.
  """
  alike = (name for name in names if name.startswith(f"{table.score}-"))
  return table.score if table.score == "FID" else next(alike, table.score)


def _bound(records: Sequence[Record]) -> str:
  """Negative ELBO of the held-out images."""
  found = [r["bound"]["negative_elbo"] for r in records if "bound" in r]
  if len(found) > 1:
    return f"{statistics.mean(found):.1f} ± {statistics.stdev(found):.1f}"
  return f"{found[0]:.1f}" if found else tables.NOTHING


def _scores(
  records: Sequence[Record], which: str, names: Sequence[str]
) -> list[str]:
  """One cell per score, and the number of images."""
  metrics = [record["metrics"][which] for record in records]
  cells = [_spread([m[name]["value"] for m in metrics if name in m])
           for name in names]  # fmt: skip
  images = [one["num_samples"] for m in metrics for one in m.values()]
  return [*cells, _same(images)]


def _costs(records: Sequence[Record]) -> list[str]:
  seconds = [record["wall_seconds"].get("train") for record in records]
  seconds = [value for value in seconds if value is not None]
  return [
    *(
      _same([record[name] for record in records])
      for name in ("network_evaluations", "num_parameters", "step")
    ),
    f"{statistics.mean(seconds):,.0f}" if seconds else tables.NOTHING,
    str(len(records)) if records else tables.NOTHING,
  ]


def _spread(values: Sequence[float]) -> str:
  """Mean and, of several, the standard deviation (ddof 1)."""
  if not values:
    return tables.NOTHING
  mean = f"{statistics.mean(values):.3f}"
  if len(values) == 1:
    return mean
  return f"{mean} \N{PLUS-MINUS SIGN} {statistics.stdev(values):.3f}"


def _same(values: Iterable[int]) -> str:
  """The number, or all of them where they differ."""
  return "/".join(f"{v:,}" for v in sorted(set(values))) or tables.NOTHING


def notes(
  table: Table, rows: Sequence[Row], scored: Sequence[Scored]
) -> list[str]:
  """What a reader needs to know of the numbers, paragraph by paragraph."""
  records = [s.record for s in scored]
  found = []
  if table.score == "FID" and not any(
    table.score in r["metrics"]["generated"] for r in records
  ):
    found.append(
      f"The column {table.score} is empty: the Inception weights of 2015-12-05 "
      "were not on the machine that scored. No other score here can be "
      f"compared with the paper's {table.score}."
    )
  for network in tables.feature_networks(records[0]) if records else []:
    found.append(_about_network(network))
  if any(row.beyond for row in rows):
    found.append(f"{BEYOND} A control that is not in the paper.")
  if any("bound" in record for record in records):
    found.append(
      "-ELBO: of held-out images, one draw of the latents, mean over "
      f"{_same([r['bound']['num_images'] for r in records if 'bound' in r])} "
      "images."
    )
  if records:
    found.append(_circumstances(records))
  for one in scored:
    config = one.job.config
    changed = work.deviations(one.record, config, config["train"]["steps"])
    if changed:
      found.append(
        f"The config of {one.job.name} has changed since: {'; '.join(changed)}."
      )
  return found


def _about_network(network: Record) -> str:
  if "held_out_accuracy" not in network:
    return (
      f"FID and the scores beside it are over {network['weights']}, images "
      f"resized as in {network['resize']}."
    )
  return (
    f"Scores named {network['name']} are over a classifier trained by the "
    f"project, {network['held_out_accuracy']:.1%} accurate on held-out images."
  )


def _circumstances(records: Sequence[Record]) -> str:
  devices = {
    f"{r['provenance']['device']['kind']}, jax "
    f"{r['provenance']['packages']['jax']}"
    for r in records
  }
  several = any(
    records[0]["seeds"]["train"] != r["seeds"]["train"] for r in records
  )
  spread = (
    "Means \N{PLUS-MINUS SIGN} standard deviations over training seeds, of the "
    "number in the last column. "
  )
  return (
    f"{spread if several else ''}Averaged weights; evaluations are those of "
    f"the network per sample, seconds those of training; "
    f"{'; '.join(sorted(devices))}."
  )
