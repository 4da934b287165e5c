"""Scores of any set of images or videos against any other."""

from collections.abc import Iterator, Sequence

import numpy as np
import tqdm

from pseudovideo import errors
from pseudovideo.metrics import (
  features,
  pair_metrics,
  set_metrics,
  sources,
  summary,
)

Record = set_metrics.Record


def sets(
  scored: sources.Source,
  reference: sources.Source,
  network: features.FeatureNetwork,
  kinds: Sequence[str] = set_metrics.DEFAULT,
  *,
  seed: int = 0,
) -> dict[str, Record]:
  """Scores over a network; what it sees of the reference is kept on disk.

  Args:
    scored: the images, or videos, to be scored.
    reference: those that they are compared with.
    network: to look through.
    kinds: of `set_metrics.METRICS`.
    seed: of subsets and splits.

  Returns:
    Records by name.

  Raises:
    UserError: items of different sizes or that the network does not take, or
      too few of them.
  """
  keep = set_metrics.kept(kinds)
  _check_sizes(scored, reference)
  for source in (scored, reference):
    network.check(source.shape)
    if source.num < 2:
      raise errors.UserError(
        f"{source.title} has {source.num} image; scores of sets need at least "
        "two, and thousands to mean something."
      )
  compared = set_metrics.Compared(
    scored=summary.summarize(network, scored, keep=keep),
    reference=summary.reference(network, reference),
    split=reference.title,
    seed=seed,
  )
  return set_metrics.records(compared, network, kinds)


def pairs(
  scored: sources.Source,
  reference: sources.Source,
  kinds: Sequence[str],
  *,
  num: int | None = None,
  seed: int = 0,
) -> dict[str, Record]:
  """Scores of each image or video against its partner, in their order.

  Args:
    scored: the images, or videos, to be scored.
    reference: as many others, to each its own.
    kinds: of `pair_metrics.METRICS`.
    num: how many pairs are scored, drawn with `seed`; None: all.
    seed: of the draw.

  Returns:
    Records by name.

  Raises:
    UserError: sets of different sizes or numbers, fewer pairs than `num`, or
      what a metric does not take.
  """
  _check_sizes(scored, reference)
  if scored.num != reference.num:
    raise errors.UserError(
      f"{scored.title} has {scored.num:,} items and {reference.title} "
      f"{reference.num:,}; {', '.join(kinds)} compare the first with the "
      "first and so on, so give as many of either."
    )
  # One seed and one number of items: the same places of both.
  scored, reference = (s.chosen(num, seed) for s in (scored, reference))
  found = pair_metrics.records(_aligned(reference, scored), kinds)
  about = {
    "reference_split": reference.title,
    "reference_size": reference.num,
  }
  return {name: {**record, **about} for name, record in found.items()}


def _aligned(
  reference: sources.Source, scored: sources.Source
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
  """Blocks of both; a terminal shows the progress."""
  with tqdm.tqdm(total=scored.num, desc="pairs", disable=None) as progress:
    for pair in zip(reference.blocks(), scored.blocks(), strict=True):
      yield pair
      progress.update(len(pair[0]))


def _check_sizes(scored: sources.Source, reference: sources.Source) -> None:
  if scored.shape != reference.shape:
    raise errors.UserError(
      f"{scored.title} has the shape {scored.shape} per item and "
      f"{reference.title} {reference.shape}; resize them yourself, to one "
      "size and in one way, which then belongs to the score."
    )
