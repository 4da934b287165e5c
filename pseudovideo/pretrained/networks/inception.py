"""The Inception-v3 of the FID, with the names of its PyTorch state dict.

Szegedy et al. 2016 (arXiv 1512.00567) describe the network. The network of the
Frechet Inception distance (Heusel et al. 2017, weights of 2015-12-05) differs
in three ways: it has 1008 classes, its average pools divide by the number of
pixels inside the image, and the last block pools by the maximum.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

SIDE = 299
NUM_CLASSES = 1008
# Channels of the features, by where they are taken.
DIMS = (64, 192, 768, 2048)

_ONE = (1, 1)
_THREE = (3, 3)
_ROW = (1, 7)
_COLUMN = (7, 1)

_shrink = functools.partial(nn.max_pool, window_shape=_THREE, strides=(2, 2))
_average = functools.partial(
  nn.avg_pool,
  window_shape=_THREE,
  strides=_ONE,
  padding="SAME",
  count_include_pad=False,
)


class Unit(nn.Module):
  """A convolution without bias, fixed batch statistics and ReLU.

  Attributes:
    channels: channels of the output.
    kernel: (height, width).
    stride: step along both axes.
    padding: `SAME` or `VALID`.
  """

  channels: int
  kernel: tuple[int, int]
  stride: int = 1
  padding: str = "SAME"

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """(B, H, W, C) -> (B, H', W', channels)."""
    x = nn.Conv(
      self.channels,
      self.kernel,
      (self.stride, self.stride),
      self.padding,
      use_bias=False,
      precision="highest",
      name="conv",
    )(x)
    x = nn.BatchNorm(use_running_average=True, epsilon=1e-3, name="bn")(x)
    return nn.relu(x)


def _chain(x: jax.Array, *units: tuple[str, int, tuple[int, int]]) -> jax.Array:
  """Units of the calling module one after the other: name, channels, kernel."""
  for name, channels, kernel in units:
    x = Unit(channels, kernel, name=name)(x)
  return x


def _join(*branches: jax.Array) -> jax.Array:
  return jnp.concatenate(branches, axis=-1)


class BlockA(nn.Module):
  """Kernels up to 5x5, at 35x35.

  Attributes:
    pooled: channels of the branch behind the pool.
  """

  pooled: int

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """(B, H, W, C) -> (B, H, W, 224 + pooled)."""
    return _join(
      _chain(x, ("branch1x1", 64, _ONE)),
      _chain(x, ("branch5x5_1", 48, _ONE), ("branch5x5_2", 64, (5, 5))),
      _chain(
        x,
        ("branch3x3dbl_1", 64, _ONE),
        ("branch3x3dbl_2", 96, _THREE),
        ("branch3x3dbl_3", 96, _THREE),
      ),
      _chain(_average(x), ("branch_pool", self.pooled, _ONE)),
    )


class BlockB(nn.Module):
  """Reduces 35x35 to 17x17."""

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """(B, H, W, C) -> (B, (H-1)/2, (W-1)/2, 480 + C)."""
    double = _chain(
      x, ("branch3x3dbl_1", 64, _ONE), ("branch3x3dbl_2", 96, _THREE)
    )
    return _join(
      Unit(384, _THREE, 2, "VALID", name="branch3x3")(x),
      Unit(96, _THREE, 2, "VALID", name="branch3x3dbl_3")(double),
      _shrink(x),
    )


class BlockC(nn.Module):
  """Rows and columns of seven, at 17x17.

  Attributes:
    inner: channels between the rows and columns.
  """

  inner: int

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """(B, H, W, C) -> (B, H, W, 768)."""
    return _join(
      _chain(x, ("branch1x1", 192, _ONE)),
      _chain(
        x,
        ("branch7x7_1", self.inner, _ONE),
        ("branch7x7_2", self.inner, _ROW),
        ("branch7x7_3", 192, _COLUMN),
      ),
      _chain(
        x,
        ("branch7x7dbl_1", self.inner, _ONE),
        ("branch7x7dbl_2", self.inner, _COLUMN),
        ("branch7x7dbl_3", self.inner, _ROW),
        ("branch7x7dbl_4", self.inner, _COLUMN),
        ("branch7x7dbl_5", 192, _ROW),
      ),
      _chain(_average(x), ("branch_pool", 192, _ONE)),
    )


class BlockD(nn.Module):
  """Reduces 17x17 to 8x8."""

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """(B, H, W, C) -> (B, (H-1)/2, (W-1)/2, 512 + C)."""
    narrow = _chain(x, ("branch3x3_1", 192, _ONE))
    wide = _chain(
      x,
      ("branch7x7x3_1", 192, _ONE),
      ("branch7x7x3_2", 192, _ROW),
      ("branch7x7x3_3", 192, _COLUMN),
    )
    return _join(
      Unit(320, _THREE, 2, "VALID", name="branch3x3_2")(narrow),
      Unit(192, _THREE, 2, "VALID", name="branch7x7x3_4")(wide),
      _shrink(x),
    )


class BlockE(nn.Module):
  """Branches that end in a row and a column of three, at 8x8.

  Attributes:
    pool_by_maximum: whether the pool takes the maximum, as in the last block,
      instead of the average.
  """

  pool_by_maximum: bool = False

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """(B, H, W, C) -> (B, H, W, 2048)."""
    single = _chain(x, ("branch3x3_1", 384, _ONE))
    double = _chain(
      x, ("branch3x3dbl_1", 448, _ONE), ("branch3x3dbl_2", 384, _THREE)
    )
    if self.pool_by_maximum:
      pooled = nn.max_pool(x, _THREE, _ONE, "SAME")
    else:
      pooled = _average(x)
    return _join(
      _chain(x, ("branch1x1", 320, _ONE)),
      _chain(single, ("branch3x3_2a", 384, (1, 3))),
      _chain(single, ("branch3x3_2b", 384, (3, 1))),
      _chain(double, ("branch3x3dbl_3a", 384, (1, 3))),
      _chain(double, ("branch3x3dbl_3b", 384, (3, 1))),
      _chain(pooled, ("branch_pool", 192, _ONE)),
    )


class Head(nn.Module):
  """Logits of the classes, without and with the bias."""

  @nn.compact
  def __call__(self, features: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(B, D) -> two arrays (B, 1008)."""
    kernel = self.param(
      "kernel",
      nn.initializers.lecun_normal(),
      (features.shape[-1], NUM_CLASSES),
    )
    bias = self.param("bias", nn.initializers.zeros, (NUM_CLASSES,))
    unbiased = jnp.matmul(features, kernel, precision="highest")
    return unbiased, unbiased + bias[None]


class InceptionV3(nn.Module):
  """The network, in inference; it has no batch statistics of its own.

  Its variables have the collections `params` and `batch_stats`.
  """

  @nn.compact
  def __call__(self, x: jax.Array) -> dict[str, jax.Array]:
    """Features of images, and logits of their classes.

    Args:
      x: (B, 299, 299, 3) float32 in [-1, 1].

    Returns:
      Means over the pixels, `"64"` behind the first max pool, `"192"` behind
      the second, `"768"` behind Mixed_6e and `"2048"` behind Mixed_7c, each
      (B, that many); `"logits"` (B, 1008), and `"logits_unbiased"`, without the
      last layer's bias, as the inception score takes them.
    """
    outputs = {}

    def keep(x):
      outputs[str(x.shape[-1])] = x.mean((1, 2))

    x = Unit(32, _THREE, 2, "VALID", name="Conv2d_1a_3x3")(x)
    x = Unit(32, _THREE, 1, "VALID", name="Conv2d_2a_3x3")(x)
    x = Unit(64, _THREE, name="Conv2d_2b_3x3")(x)
    x = _shrink(x)
    keep(x)
    x = Unit(80, _ONE, name="Conv2d_3b_1x1")(x)
    x = Unit(192, _THREE, 1, "VALID", name="Conv2d_4a_3x3")(x)
    x = _shrink(x)
    keep(x)
    x = BlockA(32, name="Mixed_5b")(x)
    x = BlockA(64, name="Mixed_5c")(x)
    x = BlockA(64, name="Mixed_5d")(x)
    x = BlockB(name="Mixed_6a")(x)
    x = BlockC(128, name="Mixed_6b")(x)
    x = BlockC(160, name="Mixed_6c")(x)
    x = BlockC(160, name="Mixed_6d")(x)
    x = BlockC(192, name="Mixed_6e")(x)
    keep(x)
    x = BlockD(name="Mixed_7a")(x)
    x = BlockE(name="Mixed_7b")(x)
    x = BlockE(pool_by_maximum=True, name="Mixed_7c")(x)
    keep(x)
    unbiased, logits = Head(name="fc")(outputs["2048"])
    return {**outputs, "logits": logits, "logits_unbiased": unbiased}
