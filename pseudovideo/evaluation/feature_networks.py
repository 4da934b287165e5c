"""The networks that the samples of a run are scored through."""

import dataclasses
from collections.abc import Iterable

from pseudovideo import errors
from pseudovideo.data.image_set import ImageSet
from pseudovideo.pretrained import classifier, inception, weights
from pseudovideo.pretrained.features import FeatureNetwork

INCEPTION = ("auto", "always", "never")


def networks_for(
  image_set: ImageSet, *, binarize: str = "none", use_inception: str = "auto"
) -> list[FeatureNetwork]:
  """The classifier of the data set, if it has labels, and Inception-v3.

  Args:
    image_set: data set that the samples are compared with.
    binarize: how the data are binarized, one of `pixels.BINARIZE`.
    use_inception: `auto`: for colour images, where the published weights are
      on this machine; `always` or `never`.

  Returns:
    No, one or two networks.

  Raises:
    UserError: `always`, and the weights are missing; a file with the name of
      the published weights that is not theirs; an unknown word.
  """
  if use_inception not in INCEPTION:
    raise errors.unknown("use of Inception", use_inception, INCEPTION)
  networks = []
  if image_set.train_labels is not None:
    networks.append(
      classifier.get_feature_network(image_set, binarize=binarize)
    )
  if use_inception == "always" or (
    use_inception == "auto"
    and _is_colour(image_set)
    and weights.find(weights.INCEPTION)
  ):
    networks.append(dataclasses.replace(inception.load(), binarize=binarize))
  return networks


def left_out(
  image_set: ImageSet, kinds: Iterable[str], use_inception: str = "auto"
) -> dict[str, str]:
  """The metrics that would be scored too if their network were to be had.

  Args:
    image_set: see `networks_for`.
    kinds: names out of `set_metrics.METRICS`.
    use_inception: see `networks_for`.

  Returns:
    From a name, such as `FID` or `FD-classifier`, to a phrase that says why.
  """
  found: dict[str, str] = {}
  if image_set.train_labels is None:
    found |= {
      f"{kind}-classifier": "the images have no labels to train a classifier on"
      for kind in kinds
    }
  missing = weights.find(weights.INCEPTION) is None
  if use_inception == "auto" and _is_colour(image_set) and missing:
    found |= {
      kind.replace("FD", "FID"): (
        f"the weights of {weights.INCEPTION.title} are not on this machine; "
        f"{weights.VARIABLE} names the folder that holds "
        f"{weights.INCEPTION.names[0]}"
      )
      for kind in kinds
    }
  return found


def _is_colour(image_set: ImageSet) -> bool:
  return image_set.image_shape[-1] == 3
