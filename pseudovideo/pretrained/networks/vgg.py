"""VGG-16 (Simonyan & Zisserman 2015, arXiv 1409.1556, configuration D).

Layers are numbered as in torchvision, whose weights it takes; its `features.0`
is `features_0` here. Images are expected as torchvision normalises them, see
`metrics.lpips.normalize`.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

# Channels of the maps that `VGG16` returns.
CHANNELS = (64, 128, 256, 512, 512)
# Smallest side of an image, pixels: four pools leave one pixel.
SMALLEST_SIDE = 16

_DEPTHS = (2, 2, 3, 3, 3)
# Side of the map that `Head` flattens.
POOLED_SIDE = 7


class VGG16(nn.Module):
  """The convolutions of VGG-16."""

  @nn.compact
  def __call__(self, x: jax.Array) -> tuple[jax.Array, ...]:
    """Activations before each pool.

    Args:
      x: (B, H, W, 3) float32, normalised; H, W >= 16.

    Returns:
      The outputs of relu1_2, relu2_2, relu3_3, relu4_3 and relu5_3: maps
      (B, H / 2^k, W / 2^k, CHANNELS[k]), sides rounded down.
    """
    maps: list[jax.Array] = []
    number = 0
    for channels, depth in zip(CHANNELS, _DEPTHS, strict=True):
      if maps:
        x = nn.max_pool(x, (2, 2), (2, 2))
        number += 1
      for _ in range(depth):
        name = f"features_{number}"
        x = nn.Conv(channels, (3, 3), precision="highest", name=name)(x)
        x = nn.relu(x)
        number += 2
      maps.append(x)
    return tuple(maps)


class Head(nn.Module):
  """The fully connected layers up to fc7, in inference (no dropout).

  Attributes:
    hidden: outputs of each layer; 4096 in the published network.
  """

  hidden: int = 4096

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Runs the layers; returns fc7 after its ReLU.

    Any size becomes 7x7 by torchvision's adaptive average pool; a single pixel
    is repeated. The pixels are flattened with the channels last.

    Args:
      x: (B, H, W, 512), the last map of `VGG16`; H, W >= 2.

    Returns:
      (B, hidden), not negative.
    """
    x = nn.max_pool(x, (2, 2), (2, 2))
    for axis, formula in [(1, "oh,bhwc->bowc"), (2, "ow,bhwc->bhoc")]:
      bins = jnp.asarray(_bins(x.shape[axis]))
      x = jnp.einsum(formula, bins, x, precision="highest")
    x = x.reshape(len(x), -1)
    for name in ("classifier_0", "classifier_3"):
      x = nn.relu(nn.Dense(self.hidden, precision="highest", name=name)(x))
    return x


def _bins(size: int) -> np.ndarray:
  """(7, size) averages; bin i goes from floor(i s/7) to ceil((i+1) s/7)."""
  starts = np.arange(POOLED_SIDE) * size // POOLED_SIDE
  ends = -(-np.arange(1, POOLED_SIDE + 1) * size // POOLED_SIDE)
  pixels = np.arange(size)
  inside = (pixels >= starts[:, None]) & (pixels < ends[:, None])
  return (inside / inside.sum(1, keepdims=True)).astype(np.float32)
