"""Converts state dicts of whole networks to parameters, and back."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from pseudovideo import errors
from pseudovideo.convert import iv_vae, skeleton
from pseudovideo.files import layouts
from pseudovideo.models import unet, video_unet
from pseudovideo.models.video_vae.iv_vae import IVVAE

Network = unet.UNet | IVVAE

_Path = tuple[str, ...]
_Shape = tuple[int, ...]


def to_flax(
  state_dict: Mapping[str, np.ndarray], net: Network, *, channels: int = 3
) -> dict[str, Any]:
  """Parameters of `net` from the published network's state dict.

  The arrays do not show every field: the published diffusion networks have
  `groups=32` and `conditioning="scale_shift"`, and the video networks also have
  `residual_on_normed=True`. Networks with other values take the arrays too, and
  compute something else.

  Args:
    state_dict: floating-point arrays by name: of improved DDPM for a `UNet`,
      of flexible video diffusion for a `VideoUNet`, of IV-VAE for an `IVVAE`.
    net: network whose fields decide which names and shapes are expected.
    channels: channels of the images; not read for an `IVVAE`, which has them as
      a field.

  Returns:
    Nested dicts of float32 arrays.

  Raises:
    UserError: a name is missing or too many, an array has another shape or no
      floating-point numbers, or the published code has no such `IVVAE`.
  """
  shapes = _our_shapes(net, channels)
  pairs = list(_pairs(net, shapes))
  _check_names(state_dict, [theirs for theirs, *_ in pairs])
  params = {}
  for theirs, ours, transform, back in pairs:
    array = np.asarray(state_dict[theirs])
    expected = _their_shape(shapes[ours], back)
    if array.shape != expected:
      raise errors.UserError(
        f"The parameter {theirs!r} has the shape {array.shape}, and the model "
        f"needs {expected}; check the sizes in the config's section model."
      )
    if not jnp.issubdtype(array.dtype, jnp.floating):
      raise errors.UserError(
        f"The parameter {theirs!r} is of type {array.dtype}; it must be of a "
        "floating-point type."
      )
    params[ours] = np.array(transform(array), np.float32, order="C")
  return traverse_util.unflatten_dict(params)


def to_torch(params: Mapping[str, Any], net: Network) -> dict[str, Any]:
  """The published network's state dict from parameters of `net`.

  Args:
    params: nested dicts of arrays, such as `net.init` and `to_flax` return.
    net: network that they belong to.

  Returns:
    {name: float32 array}, in the order of the published state dict.

  Raises:
    UserError: the parameters belong to another network, or the published
      code has no such `IVVAE`.
  """
  given = traverse_util.flatten_dict(dict(params))
  channels = _image_channels(given, net)
  expected = _our_shapes(net, channels)
  if {path: np.shape(array) for path, array in given.items()} != expected:
    raise errors.UserError(
      f"The parameters do not belong to this {type(net).__name__}: "
      f"{_difference(given, expected)}; give the model that they belong to."
    )
  return {
    theirs: np.array(
      back(np.asarray(given[ours], np.float32)), np.float32, order="C"
    )
    for theirs, ours, _, back in _pairs(net, expected)
  }


def _pairs(
  net: Network, shapes: Mapping[_Path, _Shape]
) -> Iterator[tuple[str, _Path, layouts.Transform, layouts.Transform]]:
  """Yields each array's published name, our path, and the two transforms."""
  for layer in _layers(net):
    layout, theirs = layer.layout, layer.theirs
    weight, bias = (*layer.ours, layout.name), (*layer.ours, "bias")
    if weight in shapes:
      name = f"{theirs}.{layout.their_name}"
      yield name, weight, layout.weight, layout.weight_back
    if bias in shapes:
      yield f"{theirs}.bias", bias, layout.bias, layout.bias_back


def _layers(net: Network) -> Iterator[layouts.Layer]:
  if isinstance(net, IVVAE):
    return iv_vae.layers(net)
  return skeleton.layers(net)


def _our_shapes(net: Network, channels: int) -> dict[_Path, _Shape]:
  """Shapes of the parameters, without computing them."""
  side = 2 ** (len(net.multipliers) - 1)
  image_shape = (side, side, channels)

  def init(key):
    if isinstance(net, IVVAE):
      clip = jnp.zeros((1, 1, side, side, net.image_channels))
      return net.init(key, clip)["params"]
    if isinstance(net, video_unet.VideoUNet):
      return video_unet.init(net, key, image_shape, 1)
    return net.init(key, jnp.zeros((1, *image_shape)), jnp.zeros(1))["params"]

  tree = jax.eval_shape(init, jax.random.key(0))
  flat = traverse_util.flatten_dict(tree)
  return {path: leaf.shape for path, leaf in flat.items()}


def _their_shape(shape: _Shape, back: Callable) -> _Shape:
  return back(np.broadcast_to(np.float32(0), shape)).shape


def _image_channels(params: Mapping[_Path, Any], net: Network) -> int:
  """The images' channels, by the first convolution; a `VideoUNet` adds one."""
  shape = np.shape(params.get(("stem", "kernel"), 0))
  given = shape[2] if len(shape) == 4 else 0
  return max(1, given - isinstance(net, video_unet.VideoUNet))


def _check_names(given: Iterable[str], expected: Iterable[str]) -> None:
  if differences := layouts.name_differences(given, expected):
    raise errors.UserError(
      f"The state dict does not fit this model: {differences}; check the "
      "config's section model."
    )


def _difference(
  given: Mapping[_Path, Any], expected: Mapping[_Path, _Shape]
) -> str:
  """The first parameter that is on one side only, or has another shape."""
  for path in sorted(given.keys() | expected.keys()):
    here = np.shape(given[path]) if path in given else "missing"
    there = expected.get(path, "unknown to the model")
    if here != there:
      return f"{'/'.join(path)} is {here} in them and {there} in the model"
  return "no difference"
