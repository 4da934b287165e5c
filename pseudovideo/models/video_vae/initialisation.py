"""Inflates a trained image VAE to the weights of a video VAE.

Each branch starts as the image VAE on one frame of every group, without
exchange between branches: 2-D kernels at one temporal tap, zeros elsewhere. The
image VAE's latents have as many channels as one branch's.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from pseudovideo import errors
from pseudovideo.models.video_vae import branches, iv_vae

# Which third of a temporal kernel's rows sees the frame itself.
_OWN_TAP = {"causal": 2, "group_causal": 1}

_Path = tuple[str, ...]


def image_vae(net: iv_vae.IVVAE) -> iv_vae.IVVAE:
  """The image VAE that `net` can be inflated from."""
  return net.clone(
    branches="image",
    latent_channels=net.latent_channels // len(_names(net)),
    temporal=(False,) * len(net.temporal),
  )


def inflate(
  image_params: Mapping[str, Any],
  net: iv_vae.IVVAE,
  taps: Sequence[int] | None = None,
) -> dict[str, Any]:
  """Parameters of a video VAE that treats frames as an image VAE does.

  Frame 0, and with two branches the first frame of each group, are
  reconstructed as by the image VAE. The other frames of a group come out as the
  reconstruction of one of them. The kernels follow IV-VAE, Secs. 3.1 and 3.3.
  The resampling of time is our choice where the paper does not say; with one
  branch it is as in Wan's public VAE.

  - one branch: the first frame of the group is reconstructed.
  - two branches: `taps` chooses it. With (a, b) and groups of four it is number
    2 b + a, counted from 0.

  Args:
    image_params: parameters of `image_vae(net)`.
    net: the video VAE.
    taps: for each level that halves time, 0 or 1: which frame of a pair the
      motion branch keeps. None: (0, ..., 0, 1), the middle one of the frames
      that the key branch does not have. Not read with one branch.

  Returns:
    Nested dictionaries of float32 arrays.

  Raises:
    UserError: the parameters belong to another image VAE, or `taps` are not one
      0 or 1 for each level that halves time.
  """
  taps = _checked_taps(net, taps)
  source = traverse_util.flatten_dict(dict(image_params))
  _check_source(source, net)
  target = {}
  for path, shape in _shapes(net).items():
    if "time" in path:
      target[path] = _resampling(path, shape, net, taps)
    else:
      target[path] = _copied(path, shape, net, source)
  return traverse_util.unflatten_dict(target)


def _names(net):
  return tuple(branches.BRANCHES[net.branches])


def _shapes(net: iv_vae.IVVAE) -> dict[_Path, tuple[int, ...]]:
  """Shapes of the parameters, without computing them."""
  side = net.spatial_factor
  clip = jnp.zeros((1, 1, side, side, net.image_channels))
  tree = jax.eval_shape(net.init, jax.random.key(0), clip)["params"]
  flat = traverse_util.flatten_dict(tree)
  return {path: leaf.shape for path, leaf in flat.items()}


def _copied(path, shape, net, source):
  """Copies the image VAE's array to the place of each branch of `path`."""
  names = _names(net)
  array = np.asarray(source[_path_in_image(path, names, source)], np.float32)
  if array.shape == shape:
    return array
  if array.ndim == 1:
    return np.tile(array, len(names))
  kernel = np.zeros(shape, np.float32)
  rows = kernel[..., _own_rows(path, shape[-2]), :]
  owners = [i for i, name in enumerate(names) if name in path]
  for branch in owners or range(len(names)):
    _place(array, rows, branch, column=0 if owners else branch)
  return kernel


def _own_rows(path, num):
  """The rows of a kernel that see the frame itself."""
  for kind, tap in _OWN_TAP.items():
    if kind in path:
      return slice(tap * num // 3, (tap + 1) * num // 3)
  return slice(None)


def _place(array, rows, branch, column):
  """Writes one branch's kernel where it sees only that branch's channels."""
  num_in, num_out = array.shape[-2:]
  # The stem's input, the frames, is not cut into branches.
  row = 0 if rows.shape[-2] == num_in else branch
  at = (..., slice(row * num_in, (row + 1) * num_in))
  rows[*at, slice(column * num_out, (column + 1) * num_out)] = array


def _path_in_image(path, names, source):
  """The image VAE's path of the array that branches have at `path`."""
  path = tuple(part for part in path if part not in _OWN_TAP)
  key = tuple("key" if part in names else part for part in path)
  if key in source:
    return key
  return tuple("conv" if part in names else part for part in path)


def _resampling(path, shape, net, taps):
  """Identities, by which one frame of each pair is kept and repeated."""
  array = np.zeros(shape, np.float32)
  if path[-1] == "bias":
    return array
  _, name, *_ = path
  level = int(name.split("_")[1])
  halved = name.endswith("down")
  width = shape[1] if halved else shape[1] // 2
  one = np.eye(width, dtype=np.float32)
  if not halved:
    array[-width:] = np.concatenate([one, one], axis=1)
    return array
  tap = 1 if len(_names(net)) == 1 else taps[sum(net.temporal[:level])]
  array[tap * width : (tap + 1) * width] = one
  return array


def _checked_taps(net, taps):
  halvings = sum(net.temporal)
  if taps is None:
    return (0,) * (halvings - 1) + (1,)
  if len(taps) != halvings or not set(taps) <= {0, 1}:
    raise errors.UserError(
      f"The taps must be {halvings} numbers 0 or 1, one for each level that "
      f"halves time; got {tuple(taps)}."
    )
  return tuple(taps)


def _check_source(source, net):
  expected = _shapes(image_vae(net))
  given = {path: np.shape(array) for path, array in source.items()}
  wrong = sorted(
    path
    for path in expected.keys() | given.keys()
    if expected.get(path) != given.get(path)
  )
  if wrong:
    path = wrong[0]
    raise errors.UserError(
      f"The image VAE's parameter {'/'.join(path)!r} must have the shape "
      f"{expected.get(path, 'of none')} and has {given.get(path, 'none')}; "
      "train one with the fields of `image_vae(net)`."
    )
