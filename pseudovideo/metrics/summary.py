"""What a network sees of a set of images, reduced to what metrics need.

References are kept on disk by a hash of the images and of the network, so that
a data set goes through a network once, not once per score.
"""

import dataclasses
from collections.abc import Callable, Collection

import numpy as np
import tqdm

from pseudovideo.data import cache
from pseudovideo.metrics import features, sources, statistics

# What a summary may keep of every image, besides the moments.
KEPT = ("features", "logits")


@dataclasses.dataclass(frozen=True, eq=False)
class Summary:
  """A set of images, seen by a network.

  Attributes:
    moments: of the features, in float64.
    features: (N, D) float32, or None where they were not kept.
    logits: (N, K) float32, or None.
  """

  moments: statistics.Moments
  features: np.ndarray | None
  logits: np.ndarray | None

  def of_rows(self, rows: np.ndarray) -> "Summary":
    """The summary of some of the images; everything must have been kept."""
    chosen = np.asarray(self.features[rows])
    return Summary(
      statistics.moments_of(chosen), chosen, np.asarray(self.logits[rows])
    )


def summarize(
  network: features.FeatureNetwork,
  source: sources.Source,
  *,
  keep: Collection[str] = KEPT,
) -> Summary:
  """Looks at every image once; a terminal shows the progress.

  With an empty `keep` the memory does not grow with the number of images.

  Args:
    network: whatever has `stream`, `feature_dim` and `num_classes`.
    source: the images.
    keep: which of `KEPT`.
  """
  sizes = {"features": network.feature_dim, "logits": network.num_classes}
  arrays = {
    name: np.empty((source.num, sizes[name]), np.float32) for name in keep
  }
  moments = _fill(network, source, arrays)
  return Summary(moments, arrays.get("features"), arrays.get("logits"))


def reference(
  network: features.FeatureNetwork, source: sources.Source
) -> Summary:
  """`summarize`, kept on disk; arrays are memory-mapped.

  Args:
    network: as for `summarize`, with `provenance`.
    source: the images; `identity` must tell them from all others.

  Raises:
    UserError: the cache cannot be written.
    ValueError: a source without an identity.
  """
  if source.identity is None:
    raise ValueError(
      f"What is seen of {source.title!r} cannot be kept without its identity."
    )

  def build(new_array: Callable[..., np.ndarray]) -> None:
    size = (source.num, network.feature_dim)
    arrays = {
      "features": new_array("features", size, np.float32),
      "logits": new_array(
        "logits", (source.num, network.num_classes), np.float32
      ),
    }
    moments = _fill(network, source, arrays)
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
  return Summary(moments, arrays["features"], arrays["logits"])


def _fill(
  network: features.FeatureNetwork,
  source: sources.Source,
  arrays: dict[str, np.ndarray],
) -> statistics.Moments:
  """The moments; rows of the arrays are written on the way."""
  moments = statistics.Moments(network.feature_dim)
  done = 0
  with tqdm.tqdm(
    total=source.num,
    desc=f"{network.name} on {source.title}",
    unit="image",
    disable=None,
  ) as progress:
    for seen, logits in network.stream(source.blocks()):
      moments.update(seen)
      for name, rows in {"features": seen, "logits": logits}.items():
        if name in arrays:
          arrays[name][done : done + len(rows)] = rows
      done += len(seen)
      progress.update(len(seen))
  return moments
