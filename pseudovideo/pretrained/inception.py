"""The feature network of the Frechet Inception distance (FID).

A score is a FID, comparable with the literature, only with the published
weights, the 2048 features of the last pool, and the resizing of the original.
The name of the network says which of these hold: it is `inception` for all.
"""

import functools
import os
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from pseudovideo import errors
from pseudovideo.pretrained import weights
from pseudovideo.pretrained.features import (
  FeatureNetwork,
  Forward,
  weights_hash,
)
from pseudovideo.pretrained.from_torch import inception as convert
from pseudovideo.pretrained.networks import inception
from pseudovideo.pretrained.resize import RESIZES, Resize


def load(
  path: str | os.PathLike | None = None, *, resize: str = "tf1", dim: int = 2048
) -> FeatureNetwork:
  """The network with its published weights.

  Its logits are without the last layer's bias, as the inception score needs.

  Args:
    path: where the weights are; by default searched, see `weights.find`.
    resize: one of `resize.RESIZES`.
    dim: dimension of the features, one of `inception.DIMS`.

  Returns:
    A network named `inception`, or for other choices `inception192`,
    `inception-clean`, `inception192-clean`.

  Raises:
    UserError: an unknown choice, no weights, or not the published ones.
  """
  _check(resize, dim)
  state_dict, sha256 = weights.read(weights.INCEPTION, path)
  return _assemble(
    _name(resize, dim), sha256, convert.to_flax(state_dict), resize, dim, True
  )


def from_state_dict(
  state_dict: Mapping[str, np.ndarray], *, resize: str = "tf1", dim: int = 2048
) -> FeatureNetwork:
  """The network with any weights; its scores are no FID.

  Args:
    state_dict: see `from_torch.inception.to_flax`.
    resize: one of `resize.RESIZES`.
    dim: dimension of the features, one of `inception.DIMS`.

  Returns:
    A network named `unofficial-inception-` (or as in `load`) and the first
    eight digits of its weights' hash.

  Raises:
    UserError: an unknown choice, or the state dict of another network.
  """
  _check(resize, dim)
  variables = convert.to_flax(state_dict)
  digest = weights_hash(variables)
  name = f"unofficial-{_name(resize, dim)}-{digest[:8]}"
  return _assemble(name, digest, variables, resize, dim, False)


def _check(resize: str, dim: int) -> None:
  errors.look_up("resizing for Inception", resize, RESIZES)
  if dim not in inception.DIMS:
    raise errors.UserError(
      f"Inception has no features of dimension {dim!r}; choose one of "
      f"{', '.join(map(str, inception.DIMS))}."
    )


def _name(resize: str, dim: int) -> str:
  name = "inception" if dim == 2048 else f"inception{dim}"
  return name if resize == "tf1" else f"{name}-{resize}"


def _assemble(
  name: str,
  digest: str,
  variables: Any,
  resize: str,
  dim: int,
  published: bool,
) -> FeatureNetwork:
  return FeatureNetwork(
    name=name,
    weights_hash=digest,
    feature_dim=dim,
    num_classes=inception.NUM_CLASSES,
    image_shape=None,
    forward=_forward(RESIZES[resize], dim),
    params=variables,
    facts={
      "weights": weights.INCEPTION.title if published else "not published",
      "published": published,
      "resize": resize,
      "value_range": list(RESIZES[resize].value_range),
    },
    # On CPUs, XLA copies the windows of a convolution: of two images they fit
    # into memory that a thread keeps.
    batch_size=2 if jax.default_backend() == "cpu" else 256,
  )


@functools.cache
def _forward(resize: Resize, dim: int) -> Forward:
  """One function for equal choices, so that each is compiled once."""

  def forward(variables, images):
    x = resize(images, inception.SIDE)
    outputs: Any = inception.InceptionV3().apply(variables, x)
    return outputs[str(dim)], outputs["logits_unbiased"]

  return forward
