"""AlexNet as torchvision has it (Krizhevsky 2014, arXiv 1404.5997).

It has only the convolutions, numbered as in torchvision, whose `features.0` is
`features_0` here. Images are expected as torchvision normalises them, see
`metrics.lpips.normalize`.
"""

import flax.linen as nn
import jax

# Channels of the maps that `AlexNet` returns.
CHANNELS = (64, 192, 384, 256, 256)
# Smallest side of an image, pixels: the second pool still has three pixels.
SMALLEST_SIDE = 31

# Number, kernel, stride, padding, and whether a pool comes first.
_LAYERS = (
  (0, 11, 4, 2, False),
  (3, 5, 1, 2, True),
  (6, 3, 1, 1, True),
  (8, 3, 1, 1, False),
  (10, 3, 1, 1, False),
)


class AlexNet(nn.Module):
  """The convolutions of AlexNet."""

  @nn.compact
  def __call__(self, x: jax.Array) -> tuple[jax.Array, ...]:
    """Activations of every layer.

    Args:
      x: (B, H, W, 3) float32, normalised; H, W >= 31.

    Returns:
      The five outputs of ReLU, maps (B, H', W', CHANNELS[k]) where H' is
      h = (H - 7) // 4 + 1, then (h - 3) // 2 + 1 =: i, and three times
      (i - 3) // 2 + 1.
    """
    maps = []
    layers = zip(CHANNELS, _LAYERS, strict=True)
    for channels, (number, kernel, stride, pad, pooled) in layers:
      if pooled:
        x = nn.max_pool(x, (3, 3), (2, 2))
      x = nn.Conv(
        channels,
        (kernel, kernel),
        (stride, stride),
        ((pad, pad), (pad, pad)),
        precision="highest",
        name=f"features_{number}",
      )(x)
      x = nn.relu(x)
      maps.append(x)
    return tuple(maps)
