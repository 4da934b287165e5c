"""Metrics of images or videos against their own references, pair by pair.

To add one, write a measure of a block of pairs and a function from its values
to records, and name both in `METRICS`.
"""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from pseudovideo import errors
from pseudovideo.metrics import information, lpips, psnr, ssim

Record = dict[str, Any]
Measure = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Metric:
  """One entry of `METRICS`.

  Attributes:
    make: returns a function of uint8 blocks, reference and scored, (n, H, W,
      C) or (n, T, H, W, C), to values (n, ...). It may read weights; then the
      function has `provenance`.
    reduce: from all values (N, ...) to records by name.
  """

  make: Callable[[], Measure]
  reduce: Callable[[np.ndarray], dict[str, Record]]


def _psnr(values: np.ndarray) -> dict[str, Record]:
  equal = int(np.isinf(values).sum())
  if equal:
    raise errors.UserError(
      f"{equal:,} of {values.size:,} pairs of images are equal, so that their "
      "PSNR and its mean are infinite; leave PSNR out, or score pairs that "
      "differ."
    )
  pooled = -10 * np.log10(np.mean(10 ** (-values / 10)))
  what = "10 log10(255^2 / squared error), dB"
  return {
    "PSNR": _record(
      values, "higher", f"{what}; mean over images (and over frames)."
    ),
    "PSNR of mean error": {
      "value": float(pooled),
      "std": None,
      "better": "higher",
      "definition": f"{what}, of the error's mean over all images and frames.",
    },
  }


def _ssim(values: np.ndarray) -> dict[str, Record]:
  return {
    "SSIM": _record(
      values,
      "higher",
      "Structural similarity, 11x11 Gaussian window of deviation 1.5, range "
      "0..255; mean over valid places, channels, and images (frames).",
    )
  }


def _ssim_by_position(values: np.ndarray) -> dict[str, Record]:
  profile = ssim.by_position(values)
  definition = (
    "SSIM of the frames at one place in groups of four, without the first "
    "frame of each video."
  )
  records = {
    f"SSIM at {place} of {len(profile)}": {
      "value": float(value),
      "std": None,
      "better": "higher",
      "definition": definition,
    }
    for place, value in enumerate(profile, 1)
  }
  records["SSIM spread"] = {
    "value": ssim.spread(profile),
    "std": None,
    "better": "lower",
    "definition": "Largest minus smallest SSIM at a place in groups of four.",
  }
  return records


def _information(sums: np.ndarray) -> dict[str, Record]:
  return {
    "IPD": {
      "value": information.degree(*sums.sum(0)),
      "std": None,
      "better": "higher",
      "definition": (
        "Information preservation degree, 1 - sum |x - x'| / sum |x| over all "
        "pixels of the set, in the range [0, 1]."
      ),
    }
  }


def _lpips(backbone: str) -> Metric:
  name = f"LPIPS-{backbone}"

  def reduce(values):
    definition = (
      f"LPIPS v0.1 over {backbone}, published weights, input in [-1, 1]; mean "
      "over images (and over frames)."
    )
    return {name: _record(values, "lower", definition)}

  return Metric(lambda: lpips.load(backbone), reduce)


METRICS = {
  "PSNR": Metric(lambda: psnr.per_image, _psnr),
  "SSIM": Metric(lambda: ssim.per_image, _ssim),
  "SSIM-position": Metric(lambda: ssim.per_image, _ssim_by_position),
  "IPD": Metric(lambda: information.sums, _information),
  "LPIPS-vgg": _lpips("vgg"),
  "LPIPS-alex": _lpips("alex"),
}


def records(
  pairs: Iterable[tuple[np.ndarray, np.ndarray]], kinds: Iterable[str]
) -> dict[str, Record]:
  """Records by name.

  Args:
    pairs: blocks of references and of what is scored, uint8 of equal shapes.
    kinds: names out of `METRICS`.

  Raises:
    UserError: no such metric, images that it does not take, or weights that
      are not on this machine.
  """
  chosen = {
    kind: errors.look_up("metric of pairs", kind, METRICS) for kind in kinds
  }
  measures = {kind: metric.make() for kind, metric in chosen.items()}
  values: dict[str, list[np.ndarray]] = {kind: [] for kind in chosen}
  for reference, scored in pairs:
    for kind, measure in measures.items():
      values[kind].append(measure(reference, scored))
  found = {}
  for kind, metric in chosen.items():
    whole = np.concatenate(values[kind])
    about = {"num_samples": len(whole)}
    if isinstance(measures[kind], lpips.LPIPS):
      about["feature_network"] = measures[kind].provenance()
    for name, record in metric.reduce(whole).items():
      found[name] = {"name": name, **record, **about}
  return found


def records_or_reasons(
  pairs: Sequence[tuple[np.ndarray, np.ndarray]], kinds: Iterable[str]
) -> tuple[dict[str, Record], dict[str, str]]:
  """Records by name, or the reason why there are none, by kind of metric.

  Args:
    pairs: blocks of references and of what is scored, uint8 of equal shapes,
      all of them in memory.
    kinds: names out of `METRICS`.
  """
  found: dict[str, Record] = {}
  missing: dict[str, str] = {}
  for kind in kinds:
    try:
      found |= records(pairs, [kind])
    except errors.UserError as error:
      missing[kind] = str(error)
  return found, missing


def _record(values: np.ndarray, better: str, definition: str) -> Record:
  """Mean and standard deviation over everything."""
  return {
    "value": float(np.mean(values, dtype=np.float64)),
    "std": float(np.std(values, dtype=np.float64)),
    "better": better,
    "definition": definition,
  }
