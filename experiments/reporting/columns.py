"""Columns of tables of scores: the records of one row -> its cell."""

import functools
import re
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from experiments.reporting import tables
from experiments.rows.base import Table

Record = Mapping[str, Any]
# The records of one row -> its cell.
Cell = Callable[[Sequence[Record]], str]
CODEBOOK = ("reconstruction", "codebook")
VIDEOS = ("reconstruction", "videos")


def of_table(table: Table, records: Sequence[Record]) -> dict[str, Cell]:
  """The columns between the paper's score and costs, the same score first."""
  names = dict.fromkeys(
    name for record in records for name in record["metrics"]["generated"]
  )
  first = score_name(table, names)
  cells = {
    name: functools.partial(score, which="generated", name=name)
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
  Score, and ours of the data set, such as `IS-mnistcls`, stands in for it.
  """
  of_classifier = re.compile(rf"{table.score}-\w+cls\b")
  alike = (name for name in names if of_classifier.match(name))
  return table.score if table.score == "FID" else next(alike, table.score)


def score(records: Sequence[Record], which: str, name: str) -> str:
  return spread(numbers(records, "metrics", which, name, "value"))


def _pairs(records: Sequence[Record], name: str) -> str:
  """A metric of images against their reconstructions."""
  path = ("reconstruction", "metrics", name, "value")
  return spread(numbers(records, *path), 2)


def _likelihood(records: Sequence[Record], name: str) -> str:
  return spread(numbers(records, "token_likelihood", name))


def _samples_per_second(records: Sequence[Record]) -> str:
  """The speed of models of tokens: a table compares ways to draw them."""
  of_tokens = [r for r in records if "tokenizer" in r["config"]]
  return spread(numbers(of_tokens, "samples_per_second"), 1)


def _codes_used(records: Sequence[Record]) -> str:
  """The number of codes in use, such as "213 of 256"."""
  used = numbers(records, *CODEBOOK, "codes_used")
  codes = same(numbers(records, *CODEBOOK, "codes"))
  return f"{spread(used, 0)} of {codes}" if used else tables.NOTHING


def _psnr_of_frames(records: Sequence[Record]) -> str:
  """The mean over the frames of video VAEs, exact ones left out."""
  by_frame = numbers(records, *VIDEOS, "psnr_by_frame")
  finite = [[v for v in values if v is not None] for values in by_frame]
  return spread([statistics.mean(values) for values in finite if values], 2)


def _ssim_by_position(records: Sequence[Record]) -> str:
  """Means over the records, such as "0.912 0.934 0.940 0.941"."""
  profiles = numbers(records, *VIDEOS, "ssim_by_position")
  if len({len(profile) for profile in profiles}) != 1:
    return tables.NOTHING
  means = map(statistics.mean, zip(*profiles, strict=True))
  return " ".join(f"{mean:.3f}" for mean in means)


# Columns that some kinds of models have besides scores of sets of images. A
# table shows those that are not empty throughout.
MEASURED: dict[str, Cell] = {
  "-ELBO, nats": lambda records: spread(
    numbers(records, "bound", "negative_elbo"), 1
  ),
  "-ELBO, best deltas": lambda records: spread(
    numbers(records, "bound", "negative_elbo_at_best_deltas"), 1
  ),
  "PSNR": functools.partial(_pairs, name="PSNR"),
  "PSNR of mean error": functools.partial(_pairs, name="PSNR of mean error"),
  "PSNR of frames": _psnr_of_frames,
  "preserved": lambda records: spread(
    numbers(records, *VIDEOS, "information_preserved"), 4
  ),
  "SSIM by position": _ssim_by_position,
  "SSIM spread": lambda records: spread(
    numbers(records, *VIDEOS, "ssim_spread"), 4
  ),
  "codes used": _codes_used,
  "perplexity": lambda records: spread(
    numbers(records, *CODEBOOK, "perplexity"), 1
  ),
  "tokens": lambda records: same(numbers(records, *CODEBOOK, "tokens")),
  "nats/token": functools.partial(_likelihood, name="nats_per_token"),
  "bits/dim": functools.partial(_likelihood, name="bits_per_dim"),
  "samples/s": _samples_per_second,
}


def numbers(records: Sequence[Record], *path: str) -> list[float]:
  """The values under a path of keys, of the records that have it."""
  found = []
  for value in records:
    for key in path:
      value = value.get(key) if value is not None else None
    if value is not None:
      found.append(value)
  return found


def images(records: Sequence[Record], which: str) -> str:
  metrics = [record["metrics"][which] for record in records]
  return same([one["num_samples"] for m in metrics for one in m.values()])


def costs(records: Sequence[Record]) -> list[str]:
  seconds = [record["wall_seconds"].get("train") for record in records]
  seconds = [value for value in seconds if value is not None]
  return [
    *(
      same([record[name] for record in records])
      for name in ("network_evaluations", "num_parameters", "step")
    ),
    f"{statistics.mean(seconds):,.0f}" if seconds else tables.NOTHING,
    str(len(records)) if records else tables.NOTHING,
  ]


def spread(values: Sequence[float], digits: int = 3) -> str:
  """Mean and, of several, the standard deviation (ddof 1)."""
  if not values:
    return tables.NOTHING
  mean = f"{statistics.mean(values):.{digits}f}"
  if len(values) == 1:
    return mean
  return f"{mean} \N{PLUS-MINUS SIGN} {statistics.stdev(values):.{digits}f}"


def same(values: Iterable[int]) -> str:
  """The number, or all of them where they differ."""
  return "/".join(f"{v:,}" for v in sorted(set(values))) or tables.NOTHING
