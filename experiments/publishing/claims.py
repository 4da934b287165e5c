"""What the papers claim, and what was seen here: one row per claim."""

import dataclasses
import math
import pathlib
import statistics
import sys
from collections.abc import Callable, Sequence
from typing import Any

from experiments.publishing.sheets import Sheet
from experiments.reporting import columns
from pseudovideo import errors
from pseudovideo.runs import results

RESULTS = pathlib.Path(__file__).parents[2] / "results"
HOLDS, FAILS, OPEN = "holds", "does not hold", "undecided"
RULE = (
  "Verdicts are about these budgets. Rows are told apart if their means differ "
  "by more than two standard errors over training seeds, plus-minus is the "
  "standard deviation; with one seed nothing is decided. IS and FD are over "
  "our own classifiers, PSNR is in dB; the linked pages say which."
)


@dataclasses.dataclass(frozen=True)
class Claim:
  """A claim of a paper.

  Attributes:
    text: the claim in a few words.
    paper: the paper's numbers.
    seen: returns our numbers and the verdict.
    budget: data and size of our runs.
    page: page of docs/ that has the table.
  """

  text: str
  paper: str
  seen: Callable[[], tuple[str, str]]
  budget: str
  page: str


def compared(
  first: str, second: str, metric: str, *, lower: bool = True
) -> Callable[[], tuple[str, str]]:
  """Compares two rows; the claim is that the first is better.

  Args:
    first: pattern of results files below results/, one per seed.
    second: the same of the other row.
    metric: name of a score, or PSNR of reconstructions.
    lower: True if less is better.
  """

  def seen() -> tuple[str, str]:
    ours, theirs = (_values(pattern, metric) for pattern in (first, second))
    text = f"{metric.split('-')[0]} {columns.spread(ours)} against "
    text += columns.spread(theirs)
    gain = statistics.mean(theirs) - statistics.mean(ours)
    return text, verdict(gain if lower else -gain, ours, theirs)

  return seen


def verdict(
  gain: float, first: Sequence[float], second: Sequence[float]
) -> str:
  """Decides by two standard errors.

  Args:
    gain: how much better the first is, by its mean.
    first: scores of the first row by seed.
    second: scores of the second one.
  """
  if len(first) < 2 or len(second) < 2:
    return OPEN
  error = math.sqrt(
    sum(statistics.variance(v) / len(v) for v in (first, second))
  )
  if abs(gain) <= 2 * error:
    return OPEN
  return HOLDS if gain > 0 else FAILS


def _values(pattern: str, metric: str) -> list[float]:
  """The metric of every seed."""
  found: list[float] = []
  for path in sorted(RESULTS.glob(pattern)):
    record: Any = results.read(path)
    scores = record["metrics"]["generated"]
    if metric == "PSNR":
      scores = record["reconstruction"]["metrics"]
    found.append(scores[metric]["value"])
  return found


def _theorem() -> tuple[str, str]:
  """The least gain of high-order noise, and whether simulations agree."""
  found = results.read_json(RESULTS / "theorem41.json")["errors"]
  noisy = [
    e
    for e in found
    if e["chain"] == "high_order" and e["given"] == e["frame"] - 1 > 1
  ]
  away = max(
    abs(e["simulated_gain"] - e["gain"]) / e["standard_error_of_gain"]
    for e in noisy
  )
  gains = [e["gain"] / (e["error"] + e["gain"]) for e in noisy]
  text = (
    f"{min(gains):.2%} to {max(gains):.0%} of the error saved, simulated "
    f"within {away:.1f} standard errors"
  )
  return text, HOLDS if away < 4 and min(gains) > 0 else FAILS


def _cache() -> tuple[str, str]:
  """Memory planned for the longest clip, in pieces and at once."""
  rows = results.read_json(RESULTS / "ivvae_cache" / "small.json")
  longest = max(row["frames"] for row in rows["rows"])
  by_way = {r["way"]: r for r in rows["rows"] if r["frames"] == longest}
  cache, whole = by_way["cache"], by_way["one_shot"]
  error = cache["video_error"] / cache["video_rms"]
  text = (
    f"{cache['planned_mb']:.0f} against {whole['planned_mb']:.0f} MB at "
    f"{longest} frames, equal to {error:.0e}"
  )
  less = cache["planned_mb"] < whole["planned_mb"]
  return text, HOLDS if less and error < 1e-4 else FAILS


def _signals() -> tuple[str, str]:
  """Test errors of both classifiers of signals."""
  folder = RESULTS / "mnist1d" / "digits-small"
  first, second = (
    [
      100 * results.read(path)["metrics"]["test"]["error"]["value"]
      for path in sorted(folder.glob(f"{name}-seed*.json"))
    ]
    for name in ("convolutional", "fully_connected")
  )
  text = f"{columns.spread(first, 1)} against {columns.spread(second, 1)}%"
  gain = statistics.mean(second) - statistics.mean(first)
  return text, verdict(gain, first, second)


DIGITS = "diffusion/digits-small/{}-seed*.json"
MNIST = "hvae/mnist-small/{}-seed*.json"
# Of pairs of which one was not scored again.
TOKENIZERS = "older/tokenizer/cifar10-small/{}-seed*.json"
VIDEO_VAES = "video_vae/cifar10-small/{}-seed*.json"
FD_DIGITS = "FD-digitscls"

CLAIMS = (
  Claim(
    "HVAE: heat equation beats a learnable encoder",
    "IS 9.32 against 7.27",
    compared(
      MNIST.format("heat"),
      MNIST.format("learned"),
      "IS-mnistcls-bernoulli",
      lower=False,
    ),
    "MNIST-10k, 1,500 updates",
    "systems/hvae.md",
  ),
  Claim(
    "Diffusion: 4 high-order frames beat the image model",
    "FID 12.58 against 12.90",
    compared(
      DIGITS.format("high_order_4"), DIGITS.format("one_frame"), FD_DIGITS
    ),
    "digits, 3,000 updates",
    "systems/video_diffusion.md",
  ),
  Claim(
    "Diffusion: high order beats first order, 4 frames",
    "FID 12.58 against 17.30",
    compared(
      DIGITS.format("high_order_4"), DIGITS.format("first_order_4"), FD_DIGITS
    ),
    "digits, 3,000 updates",
    "systems/video_diffusion.md",
  ),
  Claim(
    "Diffusion: high order beats first order, 8 frames",
    "FID 12.80 against 15.90",
    compared(
      DIGITS.format("high_order_8"), DIGITS.format("first_order_8"), FD_DIGITS
    ),
    "digits, 3,000 updates",
    "systems/video_diffusion.md",
  ),
  Claim(
    "Tokenizer: 8 frames reconstruct better than 1",
    "FID 13.81 against 84.25",
    compared(
      TOKENIZERS.format("published_8"),
      TOKENIZERS.format("published_1"),
      "FD-cifar10cls",
    ),
    "CIFAR-10, 800 updates",
    "systems/tokenizers.md",
  ),
  Claim(
    "Next tokens: 8 frames generate better than 1",
    "FID 54.60 against 91.65",
    compared(
      TOKENIZERS.format("next_recommended_8_raw"),
      TOKENIZERS.format("next_recommended_1_raw"),
      "FD-cifar10cls",
    ),
    "CIFAR-10, 1,500 updates, our tokenizers",
    "systems/token_models.md",
  ),
  Claim(
    "Theorem 4.1: more high-order frames lower the minimal error",
    "proof",
    _theorem,
    "closed form, a million videos",
    "frames.md",
  ),
  Claim(
    "IV-VAE beats the causal VAE",
    "PSNR 36.66 against 36.08",
    compared(
      VIDEO_VAES.format("iv_vae"),
      VIDEO_VAES.format("causal"),
      "PSNR",
      lower=False,
    ),
    "CIFAR-10, 200 updates",
    "systems/video_vae.md",
  ),
  Claim(
    "IV-VAE's cache: long clips in little memory",
    "14.1 against 76.3 GB",
    _cache,
    "base 16, 64x64, CPU",
    "systems/video_vae.md",
  ),
  Claim(
    "Rodola: convolutions beat full layers on 1-D digits",
    "17 against 40% errors",
    _signals,
    "5 seeds",
    "frames.md",
  ),
)


def table() -> Sheet:
  """All claims that were tried."""
  lines = []
  for claim in CLAIMS:
    try:
      with results.from_file(f"of the claim {claim.text!r}"):
        ours, decided = claim.seen()
    except errors.UserError as error:
      print(f"A claim is left out: {error}", file=sys.stderr)
      continue
    cells = [claim.text, claim.paper, ours, decided, claim.budget]
    lines.append([*cells, f"[table](docs/{claim.page})"])
  header = ["claim", "paper", "here", "verdict", "budget", ""]
  return Sheet("Claims", header, lines, notes=[RULE])


TABLES = {"claims": table}
