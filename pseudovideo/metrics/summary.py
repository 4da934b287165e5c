"""Features of a set of images, reduced to what metrics need.

References are kept on disk by a hash of the images and of the network, so that
a data set goes through a network once, not once per score.
"""

import dataclasses
import functools
from collections.abc import Callable, Collection, Mapping

import numpy as np
import tqdm
from jaxtyping import Int, Shaped

from pseudovideo.data import cache
from pseudovideo.metrics import frechet, sources, statistics
from pseudovideo.pretrained import features

# What may be kept of every image, besides the moments.
KEPT = ("features", "logits")

NewArray = Callable[..., np.ndarray]


@dataclasses.dataclass(frozen=True, eq=False)
class FeatureStats:
  """A set of N images, seen by a network.

  Attributes:
    moments: moments of the features, in float64.
    kept: what was kept of every image, by names out of `KEPT`: `features`
      (N, D) and `logits` (N, K), float32.
  """

  moments: statistics.Moments
  kept: Mapping[str, Shaped[np.ndarray, "N _"]]

  @functools.cached_property
  def gaussian(self) -> frechet.Gaussian:
    """The Gaussian of the moments, decomposed once."""
    return frechet.gaussian(self.moments)

  def chosen(self, places: Int[np.ndarray, " n"]) -> "FeatureStats":
    """Some of the images, of which the features were kept, by their places."""
    kept = {name: np.asarray(rows[places]) for name, rows in self.kept.items()}
    return FeatureStats(statistics.moments_of(kept["features"]), kept)


def _in_memory(name: str, shape: tuple[int, ...], dtype: type) -> np.ndarray:
  return np.empty(shape, dtype)


def summarize(
  network: features.FeatureNetwork,
  source: sources.ImageSource,
  *,
  keep: Collection[str] = KEPT,
  new_array: NewArray = _in_memory,
) -> FeatureStats:
  """Runs every image through the network once; a terminal shows the progress.

  With an empty `keep` the memory does not grow with the number of images.

  Args:
    network: network that gives the features.
    source: images that the network takes.
    keep: names out of `KEPT`.
    new_array: (name, shape, dtype) -> an array for what is kept.
  """
  sizes = {"features": network.feature_dim, "logits": network.num_classes}
  arrays = {
    name: new_array(name, (source.num, sizes[name]), np.float32)
    for name in keep
  }
  moments = statistics.Moments(network.feature_dim)
  with tqdm.tqdm(
    total=source.num,
    desc=f"{network.name} on {source.title}",
    unit="image",
    disable=None,
  ) as progress:
    for rows, (seen, logits) in network.stream(source.blocks()):
      moments.update(seen)
      for name, array in arrays.items():
        array[rows] = seen if name == "features" else logits
      progress.update(len(seen))
  return FeatureStats(moments, arrays)


def reference(
  network: features.FeatureNetwork, source: sources.ImageSource
) -> FeatureStats:
  """Runs `summarize` once and keeps the result; arrays are memory-mapped.

  Args:
    network: network that gives the features.
    source: the images; `identity` must tell them from all others.

  Raises:
    UserError: the cache cannot be written.
    ValueError: a source without an identity.
  """
  if source.identity is None:
    raise ValueError(
      f"What is seen of {source.title!r} cannot be kept without its identity."
    )

  def build(new_array: NewArray) -> None:
    moments = summarize(network, source, new_array=new_array).moments
    new_array("mean", moments.mean.shape, np.float64)[:] = moments.mean
    scatter = new_array("scatter", moments.scatter.shape, np.float64)
    scatter[:] = moments.scatter

  arrays, _ = cache.load(
    network.name,
    {"network": network.provenance(), "images": source.identity},
    build,
    kind="summaries",
    making=f"Showing {source.title} to the network",
  )
  moments = statistics.Moments(network.feature_dim)
  moments.num = source.num
  moments.mean = np.array(arrays["mean"])
  moments.scatter = np.array(arrays["scatter"])
  return FeatureStats(moments, {name: arrays[name] for name in KEPT})
