"""Scores of any set of images or videos against any other."""

from collections.abc import Iterator, Sequence

import numpy as np
import tqdm

from pseudovideo import errors
from pseudovideo.metrics import (
  image_metrics,
  pair_metrics,
  set_metrics,
  sources,
  summary,
)
from pseudovideo.pretrained import features

Record = set_metrics.Record


def sets(
  scored: sources.ImageSource,
  reference: sources.ImageSource,
  network: features.FeatureNetwork,
  kinds: Sequence[str] = set_metrics.DEFAULT,
  *,
  split: str | None = None,
  seed: int = 0,
  keep_scored: bool = False,
) -> dict[str, Record]:
  """Scores of a set over a network.

  What the network sees of the reference is kept on disk, if it has an identity.

  Args:
    scored: images, or videos, to be scored.
    reference: images, or videos, that they are compared with.
    network: network whose features are compared.
    kinds: names out of `set_metrics.METRICS`.
    split: name of the reference in records; by default its title.
    seed: seed of subsets and splits, 0 or more.
    keep_scored: whether what the network sees of `scored` is kept on disk too.

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
    _check_number(source)
    set_metrics.check_number(kinds, source.num, f"images in {source.title}")
  on_disk = reference.identity is not None
  seen = [
    summary.reference(network, source)
    if kept
    else summary.summarize(network, source, keep=keep)
    for source, kept in ((scored, keep_scored), (reference, on_disk))
  ]
  pair = set_metrics.SetPair(
    scored=seen[0],
    reference=seen[1],
    split=split or reference.title,
    seed=seed,
  )
  return set_metrics.records(pair, network, kinds)


def images(
  scored: sources.ImageSource,
  reference: sources.ImageSource,
  kinds: Sequence[str],
  *,
  split: str | None = None,
  seed: int = 0,
) -> dict[str, Record]:
  """Scores of a set over its pixels, without a network.

  Args:
    scored: images to be scored.
    reference: images that they are compared with.
    kinds: names out of `image_metrics.METRICS`.
    split: name of the reference in records; by default its title.
    seed: seed of what is drawn, 0 or more.

  Returns:
    Records by name.

  Raises:
    UserError: videos, images of different sizes or that a metric does not
      take, or too few of them.
  """
  _check_sizes(scored, reference)
  for source in (scored, reference):
    _check_number(source)
  return image_metrics.records(
    scored, reference, kinds, split=split or reference.title, seed=seed
  )


def pairs(
  scored: sources.ImageSource,
  reference: sources.ImageSource,
  kinds: Sequence[str],
  *,
  num: int | None = None,
  seed: int = 0,
) -> dict[str, Record]:
  """Scores of each image or video against its partner, in their order.

  Args:
    scored: images, or videos, to be scored.
    reference: as many others, partners in their order.
    kinds: names out of `pair_metrics.METRICS`.
    num: number of pairs that are drawn and scored; None: all.
    seed: seed of the draw, 0 or more.

  Returns:
    Records by name.

  Raises:
    UserError: sets of different sizes or numbers, fewer pairs than `num`, or
      items that a metric does not take.
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
  reference: sources.ImageSource, scored: sources.ImageSource
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
  """Blocks of both; a terminal shows the progress."""
  with tqdm.tqdm(total=scored.num, desc="pairs", disable=None) as progress:
    for pair in zip(reference.blocks(), scored.blocks(), strict=True):
      yield pair
      progress.update(len(pair[0]))


def _check_number(source: sources.ImageSource) -> None:
  if source.num < 2:
    raise errors.UserError(
      f"{source.title} has too few images, {source.num}; scores of sets need "
      "at least two, and thousands to mean something."
    )


def _check_sizes(
  scored: sources.ImageSource, reference: sources.ImageSource
) -> None:
  if scored.shape != reference.shape:
    raise errors.UserError(
      f"{scored.title} has the shape {scored.shape} per item and "
      f"{reference.title} {reference.shape}; resize them yourself, to one "
      "size and in one way, which then belongs to the score."
    )
