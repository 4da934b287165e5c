"""The networks that the samples of a run are scored through."""

import dataclasses
from collections.abc import Callable, Iterable
from typing import get_args

from pseudovideo import errors
from pseudovideo.config import sections
from pseudovideo.data.image_set import ImageSet
from pseudovideo.metrics import set_metrics
from pseudovideo.pretrained import (
  classifier,
  efficientnet_lite,
  inception,
  packaged,
  weights,
)
from pseudovideo.pretrained.features import FeatureNetwork

WHEN = get_args(sections.When)


@dataclasses.dataclass(frozen=True)
class Use:
  """When the networks are used, each one of `WHEN`.

  Attributes:
    classifier: the data set's own classifier. `auto`: of grey images with
      labels, and of colour images if one comes with the package.
    efflite0: EfficientNet-Lite0. `auto`: where its weights are installed.
    inception: Inception-v3 of the FID. `auto`: for colour images, where the
      published weights are on this machine.
  """

  classifier: str = "auto"
  efflite0: str = "auto"
  inception: str = "auto"


def networks_for(
  image_set: ImageSet, *, binarize: str = "none", use: Use | None = None
) -> list[FeatureNetwork]:
  """The networks over which the images of a data set are scored.

  Args:
    image_set: data set that the samples are compared with.
    binarize: how the data are binarized, one of `pixels.BINARIZE`.
    use: when each network is used.

  Returns:
    Any of the three: the classifier first, of colour images EfficientNet-Lite0.
    With `auto`, a network whose weights are missing is left out; `left_out`
    says why.

  Raises:
    UserError: `always`, and the weights or labels are missing; a file with the
      name of published weights that is not theirs; an unknown word.
  """
  use = use or Use()
  for field in dataclasses.fields(use):
    _check(f"use of {field.name}", getattr(use, field.name))
  makers: list[tuple[bool, Callable[[], FeatureNetwork]]] = [
    (
      _uses_classifier(image_set, binarize, use.classifier),
      lambda: classifier.get_feature_network(image_set, binarize=binarize),
    ),
    (
      _uses_weights(use.efflite0, weights.EFFICIENTNET_LITE0),
      efficientnet_lite.load,
    ),
    (
      _uses_weights(use.inception, weights.INCEPTION, _is_colour(image_set)),
      inception.load,
    ),
  ]
  if _is_colour(image_set):
    makers[:2] = makers[1::-1]
  return [
    dataclasses.replace(make(), binarize=binarize)
    for used, make in makers
    if used
  ]


def _check(what: str, word: str) -> None:
  if word not in WHEN:
    raise errors.unknown(what, word, WHEN)


def _uses_weights(
  word: str, published: weights.Published, fits: bool = True
) -> bool:
  """Whether to load weights: what is asked for and missing is refused there."""
  if word == "auto":
    return fits and weights.find(published) is not None
  return word == "always"


def _is_colour(image_set: ImageSet) -> bool:
  return image_set.image_shape[-1] == 3


def _uses_classifier(image_set: ImageSet, binarize: str, word: str) -> bool:
  if word != "auto" or image_set.train_labels is None:
    return word == "always"
  if not _is_colour(image_set):
    return True
  return packaged.find(image_set, binarize) is not None


def left_out(
  image_set: ImageSet, kinds: Iterable[str], use: Use | None = None
) -> dict[str, str]:
  """The metrics that would be scored too if their network were to be had.

  Args:
    image_set: see `networks_for`.
    kinds: metrics that are asked for; those over pixels need no network.
    use: see `networks_for`.

  Returns:
    From a name, such as `FID` or `FD-efflite0`, to a phrase that says why.
  """
  use = use or Use()
  kinds = [kind for kind in kinds if kind in set_metrics.METRICS]
  found: dict[str, str] = {}
  efflite0, fid = weights.EFFICIENTNET_LITE0, weights.INCEPTION
  if use.efflite0 == "auto" and weights.find(efflite0) is None:
    why = weights.missing(efflite0)
    found |= {f"{kind}-{efficientnet_lite.NAME}": why for kind in kinds}
  wanted = use.inception == "auto" and _is_colour(image_set)
  if wanted and weights.find(fid) is None:
    why = weights.missing(fid)
    found |= {kind.replace("FD", "FID"): why for kind in kinds}
  return found
