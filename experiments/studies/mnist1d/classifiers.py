"""The lecture's two classifiers of 1-D digits, and how they are trained.

The text of the lecture has no sizes. These are of the book whose figures it
shows (Prince 2023, "Understanding Deep Learning", Fig. 10.7 and 10.8): three
convolutions of 15 channels, kernel 3, stride 2, no padding, which make 19, 9
and 4 places of 40 points; and a fully connected network with as many units,
285, 135 and 60. Trained as in the book's notebook 10.2: 100 epochs of SGD with
momentum 0.9, batches of 100, a rate of 0.05 that halves every 20 epochs, and
He's initial weights.
"""

import dataclasses
import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.studies.mnist1d.signals import CLASSES, Signals
from pseudovideo import keys

HE = nn.initializers.he_uniform()
BATCH_SIZE = 100
RATE, MOMENTUM = 0.05, 0.9
HALVED_EVERY = 20


class Convolutional(nn.Module):
  """Strided convolutions without padding, then one linear layer.

  A convolution is a dense layer over windows: that is what it computes, and
  gradients of convolutions inside a loop are slow on a CPU.

  Attributes:
    channels: width of every layer.
    layers: number of convolutions.
    kernel: places that a window holds.
    stride: places from one window to the next.
  """

  channels: int = 15
  layers: int = 3
  kernel: int = 3
  stride: int = 2

  @nn.compact
  def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(B, L) -> features (B, D), not negative, and logits (B, 10)."""
    h = x[:, :, None]
    for i in range(self.layers):
      h = windows(h, self.kernel, self.stride)
      h = nn.relu(nn.Dense(self.channels, kernel_init=HE, name=f"conv{i}")(h))
    features = h.reshape(len(h), -1)
    return features, nn.Dense(CLASSES, kernel_init=HE, name="logits")(features)


class FullyConnected(nn.Module):
  """Dense layers.

  Attributes:
    widths: widths of the hidden layers.
  """

  widths: tuple[int, ...] = (285, 135, 60)

  @nn.compact
  def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(B, L) -> features (B, D), not negative, and logits (B, 10)."""
    for i, width in enumerate(self.widths):
      x = nn.relu(nn.Dense(width, kernel_init=HE, name=f"dense{i}")(x))
    return x, nn.Dense(CLASSES, kernel_init=HE, name="logits")(x)


NETWORKS = {
  "convolutional": Convolutional(),
  "fully_connected": FullyConnected(),
}


def windows(x: jax.Array, kernel: int, stride: int) -> jax.Array:
  """(B, L, C) -> (B, 1 + (L - kernel) // stride, kernel C)."""
  starts = np.arange(0, x.shape[1] - kernel + 1, stride)
  places = starts[:, None] + np.arange(kernel)[None]
  return x[:, places].reshape(len(x), len(starts), -1)


@dataclasses.dataclass(frozen=True)
class Trained:
  """A trained classifier, and its errors on the way.

  Attributes:
    params: parameters of the network.
    train_errors: part of the training signals that it gets wrong, after every
      epoch.
    test_errors: the same part of the held-out signals.
  """

  params: Any
  train_errors: list[float]
  test_errors: list[float]


def train(
  network: nn.Module, signals: Signals, *, epochs: int, seed: int
) -> Trained:
  """Trains on `signals.train`; the last batch of an epoch may be left out.

  Args:
    network: one of `NETWORKS`.
    signals: signals, at least 100 of them to train on.
    epochs: number of passes through them.
    seed: seed of the initial weights, and of the order.
  """
  num = len(signals.train)
  params = network.init(
    keys.named(jax.random.key(seed), "init"), jnp.asarray(signals.train[:1])
  )["params"]
  per_epoch = num // BATCH_SIZE
  optimizer = sgd(per_epoch)
  opt_state = optimizer.init(params)
  arrays = {
    field.name: jnp.asarray(getattr(signals, field.name))
    for field in dataclasses.fields(signals)
  }
  rng = np.random.default_rng(seed)
  curves = []
  for _ in range(epochs):
    order = rng.permutation(num)[: per_epoch * BATCH_SIZE]
    params, opt_state, errors = _epoch(
      params, opt_state, arrays, order.reshape(per_epoch, -1), network
    )
    curves.append(np.asarray(errors).tolist())
  train_errors, test_errors = map(list, zip(*curves, strict=True))
  return Trained(params, train_errors, test_errors)


def sgd(per_epoch: int) -> optax.GradientTransformation:
  """Momentum and the falling rate; `per_epoch` updates are an epoch."""
  rate = optax.exponential_decay(
    RATE, HALVED_EVERY * per_epoch, 0.5, staircase=True
  )
  return optax.sgd(rate, momentum=MOMENTUM)


@functools.partial(jax.jit, static_argnames="network")
def _epoch(params, opt_state, arrays, order, network):
  """The updates of one epoch, and both errors after it."""
  optimizer = sgd(len(order))

  def loss(params, index):
    _, logits = network.apply({"params": params}, arrays["train"][index])
    return optax.softmax_cross_entropy_with_integer_labels(
      logits, arrays["train_labels"][index]
    ).mean()

  def update(carry, index):
    params, opt_state = carry
    gradient = jax.grad(loss)(params, index)
    updates, opt_state = optimizer.update(gradient, opt_state, params)
    return (optax.apply_updates(params, updates), opt_state), None

  (params, opt_state), _ = jax.lax.scan(update, (params, opt_state), order)
  errors = jnp.stack(
    [
      error(network, params, arrays[split], arrays[f"{split}_labels"])
      for split in ("train", "test")
    ]
  )
  return params, opt_state, errors


def error(
  network: nn.Module, params: Any, signals: jax.Array, labels: jax.Array
) -> jax.Array:
  """The part of the signals (B, L) that the network gets wrong, scalar."""
  _, logits = network.apply({"params": params}, signals)
  return jnp.mean(jnp.argmax(logits, axis=1) != labels)
