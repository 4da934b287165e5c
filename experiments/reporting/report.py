"""A table from results files: the paper's score, ours, and what they cost."""

import dataclasses
import functools
import itertools
import pathlib
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from experiments.reporting import tables
from experiments.rows import deviations
from experiments.rows.base import Job, Row, Table
from pseudovideo.metrics import set_metrics
from pseudovideo.runs import results

Record = Mapping[str, Any]
# A column: the records of one row -> its cell.
Cell = Callable[[Sequence[Record]], str]
PAPER_NAMES = {
  "cifar10": "CIFAR-10",
  "celeb_a": "CelebA",
  "kinetics": "Kinetics-600",
  "mnist": "binarized MNIST",
}
FORMATS = {
  "text": tables.as_text,
  "md": tables.as_markdown,
  "csv": tables.as_csv,
}
_CODEBOOK = ("reconstruction", "codebook")
_VIDEOS = ("reconstruction", "videos")
CONTROL_MARK = "\N{DAGGER}"


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
    jobs: runs in the order of the table.
    path: a run -> its results file.

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
    table: the table.
    rows: its rows that are shown; controls are put last.
    dataset: data set whose paper scores are shown.
    scored: runs with results, see `collect`.
    style: a key of `FORMATS`; `csv` is the table alone.
  """
  lines = FORMATS[style](*score_table(table, rows, dataset, scored))
  if style == "csv":
    return lines
  parts = [lines, *notes(table, rows, scored)]
  return "\n\n".join(parts if style == "md" else [table.title, *parts])


def score_table(
  table: Table, rows: Sequence[Row], dataset: str, scored: Sequence[Scored]
) -> tuple[list[str], list[list[str]]]:
  """Header and rows, the held-out data last."""
  records = [s.record for s in scored]
  columns = _columns(table, records)
  column = f"paper {table.score}"
  shown = dataset
  if not any(dataset in row.paper for row in rows):
    shown = table.fallback_dataset
    column = f"paper, {PAPER_NAMES[shown]} {table.score}"
  header = [
    "", column, *columns,
    "images", "evaluations", "parameters", "steps", "seconds", "seeds",
  ]  # fmt: skip
  lines = []
  for row in sorted(rows, key=lambda row: row.is_control):
    own = [s.record for s in scored if s.job.row is row]
    paper = f"{row.paper[shown]:.2f}" if shown in row.paper else tables.NOTHING
    label = f"{row.label} {CONTROL_MARK}" if row.is_control else row.label
    cells = [cell(own) for cell in columns.values()]
    lines.append(
      [label, paper, *cells, _images(own, "generated"), *_costs(own)]
    )
  first = records[:1]
  real = [_score(first, "real", name) for name in columns]
  dashes = [tables.NOTHING] * 5
  lines.append(
    ["held-out data", tables.NOTHING, *real, _images(first, "real"), *dashes]
  )
  return header, lines


def _columns(table: Table, records: Sequence[Record]) -> dict[str, Cell]:
  """The columns between the paper's score and costs, the same score first."""
  names = dict.fromkeys(
    name for record in records for name in record["metrics"]["generated"]
  )
  first = score_name(table, names)
  cells = {
    name: functools.partial(_score, which="generated", name=name)
    for name in dict.fromkeys([first, *names])
  }
  cells |= {
    name: cell
    for name, cell in MEASURED.items()
    if cell(records) != tables.NOTHING
  }
  return cells


def score_name(table: Table, names: Iterable[str]) -> str:
  """The paper's score by the name that it has over the network at hand.

  FID has one network. The paper does not name the classifier of its Inception
  Score, and any of ours, such as `IS-mnistcls`, stands in for it.
  """
  alike = (name for name in names if name.startswith(f"{table.score}-"))
  return table.score if table.score == "FID" else next(alike, table.score)


def _score(records: Sequence[Record], which: str, name: str) -> str:
  return _spread(_numbers(records, "metrics", which, name, "value"))


def _pairs(records: Sequence[Record], name: str) -> str:
  """A metric of images against their reconstructions."""
  path = ("reconstruction", "metrics", name, "value")
  return _spread(_numbers(records, *path), 2)


def _likelihood(records: Sequence[Record], name: str) -> str:
  return _spread(_numbers(records, "token_likelihood", name))


def _samples_per_second(records: Sequence[Record]) -> str:
  """The speed of models of tokens: a table compares ways to draw them."""
  of_tokens = [r for r in records if "tokenizer" in r["config"]]
  return _spread(_numbers(of_tokens, "samples_per_second"), 1)


def _codes_used(records: Sequence[Record]) -> str:
  """The number of codes in use, such as "213 of 256"."""
  used = _numbers(records, *_CODEBOOK, "codes_used")
  codes = _same(_numbers(records, *_CODEBOOK, "codes"))
  return f"{_spread(used, 0)} of {codes}" if used else tables.NOTHING


def _psnr_of_frames(records: Sequence[Record]) -> str:
  """The mean over the frames of video VAEs, exact ones left out."""
  by_frame = _numbers(records, *_VIDEOS, "psnr_by_frame")
  finite = [[v for v in values if v is not None] for values in by_frame]
  return _spread([statistics.mean(values) for values in finite if values], 2)


def _ssim_by_position(records: Sequence[Record]) -> str:
  """Means over the records, such as "0.912 0.934 0.940 0.941"."""
  profiles = _numbers(records, *_VIDEOS, "ssim_by_position")
  if not profiles:
    return tables.NOTHING
  means = map(statistics.mean, zip(*profiles, strict=True))
  return " ".join(f"{mean:.3f}" for mean in means)


# Columns that some kinds of models have besides scores of sets of images. A
# table shows those that are not empty throughout.
MEASURED: dict[str, Cell] = {
  "-ELBO, nats": lambda records: _spread(
    _numbers(records, "bound", "negative_elbo"), 1
  ),
  "-ELBO, best deltas": lambda records: _spread(
    _numbers(records, "bound", "negative_elbo_at_best_deltas"), 1
  ),
  "PSNR": functools.partial(_pairs, name="PSNR"),
  "PSNR of mean error": functools.partial(_pairs, name="PSNR of mean error"),
  "PSNR of frames": _psnr_of_frames,
  "preserved": lambda records: _spread(
    _numbers(records, *_VIDEOS, "information_preserved"), 4
  ),
  "SSIM by position": _ssim_by_position,
  "SSIM spread": lambda records: _spread(
    _numbers(records, *_VIDEOS, "ssim_spread"), 4
  ),
  "codes used": _codes_used,
  "perplexity": lambda records: _spread(
    _numbers(records, *_CODEBOOK, "perplexity"), 1
  ),
  "tokens": lambda records: _same(_numbers(records, *_CODEBOOK, "tokens")),
  "nats/token": functools.partial(_likelihood, name="nats_per_token"),
  "bits/dim": functools.partial(_likelihood, name="bits_per_dim"),
  "samples/s": _samples_per_second,
}


def _numbers(records: Sequence[Record], *path: str) -> list[float]:
  """The values under a path of keys, of the records that have it."""
  found = []
  for value in records:
    for key in path:
      value = value.get(key) if value is not None else None
    if value is not None:
      found.append(value)
  return found


def _images(records: Sequence[Record], which: str) -> str:
  metrics = [record["metrics"][which] for record in records]
  return _same([one["num_samples"] for m in metrics for one in m.values()])


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


def _spread(values: Sequence[float], digits: int = 3) -> str:
  """Mean and, of several, the standard deviation (ddof 1)."""
  if not values:
    return tables.NOTHING
  mean = f"{statistics.mean(values):.{digits}f}"
  if len(values) == 1:
    return mean
  return f"{mean} \N{PLUS-MINUS SIGN} {statistics.stdev(values):.{digits}f}"


def _same(values: Iterable[int]) -> str:
  """The number, or all of them where they differ."""
  return "/".join(f"{v:,}" for v in sorted(set(values))) or tables.NOTHING


def notes(
  table: Table, rows: Sequence[Row], scored: Sequence[Scored]
) -> list[str]:
  """Paragraphs below the table: networks, definitions, controls, devices."""
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
  found += _about_inception_scores(records)
  if any(row.is_control for row in rows):
    found.append(f"{CONTROL_MARK} A control that is not in the paper.")
  found += _about_models(records)
  if records:
    found.append(_circumstances(records))
  for one in scored:
    changed = deviations.of_results(one.job, one.record)
    if changed:
      found.append(
        f"The config of {one.job.name} has changed since: {'; '.join(changed)}."
      )
  return found


def _about_models(records: Sequence[Record]) -> list[str]:
  """Definitions of the columns that some kinds of models have."""
  found = []
  drawn = _numbers(records, "bound", "num_images")
  if drawn:
    found.append(
      "-ELBO: of held-out images, one draw of the latents, mean over "
      f"{_same(drawn)} images. Best deltas: with the decoder's variances that "
      "make the bound of training images least, in closed form."
    )
  pairs = _numbers(records, "reconstruction", "metrics", "PSNR", "num_samples")
  if pairs:
    found.append(
      f"Scored are reconstructions of {_same(pairs)} held-out images. PSNR: in "
      "dB, a mean over these images; beside it the PSNR of their mean squared "
      "error."
    )
  videos = _numbers(records, *_VIDEOS, "num_videos")
  if videos:
    found.append(
      f"Of {_same(videos)} held-out pseudo videos: PSNR of frames, a mean over "
      "all frames; preserved, the information preservation degree on [0, 1]; "
      "SSIM by position in a group of frames that are encoded together, in "
      "the order of encoding, and its maximum minus its minimum, which is "
      "flicker."
    )
  if _numbers(records, *_CODEBOOK, "tokens"):
    found.append(
      "Codes used and perplexity, the exponential of the entropy of their "
      "frequencies: over the tokens of these images; tokens: of one image or "
      "its pseudo video."
    )
  found += [
    f"nats/token and bits/dim: {text}"
    for text in sorted(set(_numbers(records, "token_likelihood", "definition")))
  ]
  if any("tokenizer" in record["config"] for record in records):
    found.append(
      "Samples/s: with decoding of their tokens, without compilation."
    )
  tasks = [record["config"]["task"] for record in records]
  if any(task.get("adversarial") for task in tasks):
    found.append("Parameters include the discriminator's.")
  judged = [task.get("perceptual") == "classifier" for task in tasks]
  if any(judged):
    titles = [record["config"]["title"] for record in records]
    names = sorted(itertools.compress(titles, judged))
    found.append(
      "Trained on features of the classifier that scores them, so that scores "
      f"over it are biased in their favour: {'; '.join(names)}."
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


def _about_inception_scores(records: Sequence[Record]) -> list[str]:
  """Definitions of Inception Scores, with the largest possible value."""
  lines = (
    set_metrics.about_inception_scores(record["metrics"]["generated"])
    for record in records
  )
  return list(dict.fromkeys(itertools.chain.from_iterable(lines)))


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
  averaged = any(_numbers(records, "config", "optimizer", "ema_decay"))
  weights = "Averaged weights" if averaged else "Weights of the last update"
  return (
    f"{spread if several else ''}{weights}; evaluations are those of "
    f"the network per sample, seconds those of training; "
    f"{'; '.join(sorted(devices))}."
  )
