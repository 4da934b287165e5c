"""The networks that the samples of a run are scored through."""

import dataclasses

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
  colour = image_set.image_shape[-1] == 3
  if use_inception == "always" or (
    use_inception == "auto" and colour and weights.find(weights.INCEPTION)
  ):
    networks.append(dataclasses.replace(inception.load(), binarize=binarize))
  return networks
