"""A small convolutional network that corrects the linear predictor.

It sees the same windows: one convolution of w x w, two of 1 x 1, no padding.
Its last layer begins with zeros, so that training starts from the linear
predictor, and the network learns what a linear predictor cannot express.
Weights of all given frames but the newest begin with zeros too, so that
networks of the same seed begin alike and can be compared pairwise. A network is
trained for a stated number of steps and no longer. So its error is an upper
bound of the minimal error, and with few videos it may lie above the linear
error.
"""

import functools
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from pseudovideo.probe import linear

WIDTH = 32
LEARNING_RATE = 3e-3
BATCH_PIXELS = 8192
"""Number of predicted pixels per step, about."""

BLOCK = 100
"""Number of videos that are scored at a time."""


class Correction(nn.Module):
  """(B, H, W, k C) -> (B, H - w + 1, W - w + 1, C).

  Attributes:
    window: side w of the windows.
    channels: channels C of a frame.
  """

  window: int
  channels: int

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    size = (self.window, self.window)
    x = nn.Conv(WIDTH, size, padding="VALID", name="window")(x)
    x = nn.Conv(WIDTH, (1, 1), name="hidden")(nn.gelu(x))
    zeros = nn.initializers.zeros_init()
    return nn.Conv(self.channels, (1, 1), kernel_init=zeros, name="out")(
      nn.gelu(x)
    )


def inputs(
  videos: np.ndarray, pair: linear.Pair, like: np.ndarray
) -> np.ndarray:
  """The given frames as inputs: the newest, and differences of neighbours.

  Args:
    videos: (N, T, H, W, C).
    pair: frame to predict and number of given frames.
    like: videos whose means and deviations become 0 and 1.

  Returns:
    (N, H, W, k C) float32.
  """
  t, k = pair
  parts = []
  for j in range(k):
    of, norm = (
      x[:, t - 1] if j == 0 else x[:, t - 1 - j] - x[:, t - j]
      for x in (videos, like)
    )
    parts.append((of - norm.mean()) / (norm.std() + 1e-6))
  return np.concatenate(parts, axis=-1)


def errors(
  train: np.ndarray,
  test: np.ndarray,
  left: tuple[np.ndarray, np.ndarray],
  pair: linear.Pair,
  window: int,
  *,
  steps: int,
  seeds: Sequence[int],
) -> np.ndarray:
  """Held-out squared errors of networks of one pair.

  Args:
    train: (N, T, H, W, C) videos.
    test: (M, T, H, W, C) other videos.
    left: residuals of the linear predictor of the pair for both, (N, H', W',
      C) and (M, H', W', C).
    pair: frame to predict and number of given frames.
    window: side w of the windows.
    steps: number of updates.
    seeds: seeds of the weights and of the order of the videos, one network
      each.

  Returns:
    (S, M) float64, means over pixels and channels.
  """
  x, x_test = inputs(train, pair, train), inputs(test, pair, train)
  scale = float(left[0].std()) + 1e-12
  y, y_test = (part / np.float32(scale) for part in left)
  model = Correction(window, train.shape[-1])
  found = []
  for seed in seeds:
    params = _train(model, x, y, steps=steps, seed=seed)
    found.append(
      np.concatenate(
        [
          _score(model, params, x_test[i : i + BLOCK], y_test[i : i + BLOCK])
          for i in range(0, len(x_test), BLOCK)
        ]
      )
    )
  return np.array(found, np.float64) * scale**2


def _train(
  model: Correction, x: np.ndarray, y: np.ndarray, *, steps: int, seed: int
) -> Any:
  """Parameters after `steps` updates of Adam, whose rate decays to 0."""
  batch = min(len(x), max(1, BATCH_PIXELS // y[0, ..., 0].size))
  rng = np.random.default_rng(seed)
  params = _start(model, x, seed)
  state = _optimizer(steps).init(params)
  for _ in range(steps):
    rows = rng.choice(len(x), batch, replace=False)
    params, state = _update(model, steps, params, state, x[rows], y[rows])
  return params


def _start(model: Correction, x: np.ndarray, seed: int) -> Any:
  """First weights, equal for any number of given frames: older frames get 0."""
  newest = x[:1, ..., : model.channels]
  params = model.init(jax.random.key(seed), newest)["params"]
  older = x.shape[-1] - model.channels
  kernel = jnp.pad(
    params["window"]["kernel"], ((0, 0), (0, 0), (0, older), (0, 0))
  )
  window = {**params["window"], "kernel": kernel}
  return {"params": {**params, "window": window}}


def _optimizer(steps: int) -> optax.GradientTransformation:
  return optax.adam(optax.cosine_decay_schedule(LEARNING_RATE, steps))


@functools.partial(jax.jit, static_argnums=(0, 1))
def _update(
  model: Correction,
  steps: int,
  params: Any,
  state: Any,
  x: jax.Array,
  y: jax.Array,
) -> tuple[Any, Any]:
  """One step: parameters and state of the optimizer after it."""

  def loss(params):
    predicted: Any = model.apply(params, x)
    return jnp.square(y - predicted).mean()

  change, state = _optimizer(steps).update(jax.grad(loss)(params), state)
  return optax.apply_updates(params, change), state


@functools.partial(jax.jit, static_argnums=0)
def _score(
  model: Correction, params: Any, x: jax.Array, y: jax.Array
) -> jax.Array:
  """(B,) mean squared errors."""
  predicted: Any = model.apply(params, x)
  return jnp.square(y - predicted).mean((1, 2, 3))
