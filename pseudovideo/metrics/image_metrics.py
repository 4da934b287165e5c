"""Metrics of a set of images against another, over pixels: no network.

They are second opinions that need no weights. To add one, write a function of
two sources and a seed and name it in `METRICS`.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import tqdm

from pseudovideo import errors
from pseudovideo.metrics import sliced_wasserstein, sources, spectrum

Record = dict[str, Any]
Metric = Callable[[sources.ImageSource, sources.ImageSource, int], Record]


def _blocks(source: sources.ImageSource) -> Iterator[np.ndarray]:
  """Blocks of images; a terminal shows the progress."""
  with tqdm.tqdm(
    total=source.num, desc=source.title, unit="image", disable=None
  ) as progress:
    for block in source.blocks():
      yield block
      progress.update(len(block))


def _spectrum(
  scored: sources.ImageSource, reference: sources.ImageSource, seed: int
) -> Record:
  del seed  # Nothing is drawn.
  powers = [spectrum.power(_blocks(s)) for s in (scored, reference)]
  return {
    "value": spectrum.distance(*powers),
    "definition": (
      "Root mean square over rings 1 to "
      f"{len(powers[0])} of 10 log10 of the ratio of radial power spectra, dB; "
      "|F|^2/(H W) of pixels in [0, 1], mean over images, channels and the "
      "frequencies whose radius rounds to a ring, in cycles per shorter side; "
      "at least the power of 8-bit rounding."
    ),
    "reference_size": reference.num,
    "num_samples": scored.num,
  }


def _sliced_wasserstein(
  scored: sources.ImageSource, reference: sources.ImageSource, seed: int
) -> Record:
  num = min(scored.num, reference.num, sliced_wasserstein.MOST_PATCHES)
  found = [
    sliced_wasserstein.projections(_blocks(s.chosen(num, seed)), num, seed)
    for s in (scored, reference)
  ]
  each = sliced_wasserstein.patches_per_image(num)
  side = sliced_wasserstein.side(*scored.shape[:2])
  return {
    "value": sliced_wasserstein.distance(*found),
    "definition": (
      "Sliced 2-Wasserstein distance of patches, pixels in [0, 1], neither a "
      "pyramid nor normalised: root mean square difference of sorted "
      f"projections on {sliced_wasserstein.DIRECTIONS} random directions; "
      f"{num} images of either, {each} patches of {side}x{side} of each."
    ),
    "reference_size": num,
    "num_samples": num,
  }


METRICS: dict[str, Metric] = {
  "spectrum": _spectrum,
  "SWD": _sliced_wasserstein,
}


def check_shape(kinds: Iterable[str], shape: tuple[int, ...]) -> None:
  """Refuses videos, and images that a metric has no value of.

  Args:
    kinds: names out of `METRICS`.
    shape: that of one item.

  Raises:
    UserError: there is no such metric, or it does not take such items.
  """
  for kind in kinds:
    errors.look_up("metric over pixels", kind, METRICS)
    if len(shape) != 3:
      raise errors.UserError(
        f"{kind} takes images (H, W, C); got items of shape {shape}, so give "
        "their frames as images."
      )
    if kind == "spectrum" and min(shape[:2]) < 2:
      raise errors.UserError(
        f"spectrum takes images of 2 pixels or more per side; got {shape}, so "
        "give larger ones or leave it out of the metrics."
      )


def records(
  scored: sources.ImageSource,
  reference: sources.ImageSource,
  kinds: Iterable[str],
  *,
  split: str,
  seed: int,
) -> dict[str, Record]:
  """Records by name, each with all that is needed to quote it.

  Args:
    scored: two images or more that are scored.
    reference: two or more of that shape that they are compared with.
    kinds: names out of `METRICS`.
    split: name of the reference.
    seed: seed of what is drawn, 0 or more.

  Raises:
    UserError: there is no such metric, or it does not take these images.
  """
  kinds = list(kinds)
  check_shape(kinds, scored.shape)
  return {
    kind: {
      "name": kind,
      "std": None,
      "better": "lower",
      **METRICS[kind](scored, reference, seed),
      "reference_split": split,
      "seed": seed,
    }
    for kind in kinds
  }
