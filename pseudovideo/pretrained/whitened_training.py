"""Trains the network of `networks.whitened`, as Jordan (2024) does.

Batch normalization without scales, Nesterov momentum with a triangular rate,
label smoothing, reflected shifts by some pixels, and mirror images that take
turns with the images. Everything random comes from the recipe's seed.
"""

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tqdm

from pseudovideo import keys, pixels
from pseudovideo.data.image_set import ImageSet, spread
from pseudovideo.pretrained.networks import whitened

# Added to the variances of layers.
EPSILON = 1e-5
# Added to the variances of patches: a share of the mean one of their pixels.
WHITENING_EPSILON = 5e-4
WHITENED_IMAGES = 5000
# Images whose statistics are folded into the layers, in so many batches.
FOLDED_IMAGES = 5120
FOLDS = 20


@dataclasses.dataclass(frozen=True)
class Recipe:
  """The recipe by which such a classifier is trained.

  Attributes:
    epochs: passes over the training split.
    widths: channels of each block.
    batch_size: images per step; the rest of an epoch is left out.
    learning_rate: its peak, for the mean loss of a batch.
    bias_scale: biases learn so many times faster.
    momentum: Nesterov's.
    weight_decay: multiplied by the learning rate.
    label_smoothing: probability that is spread over all classes.
    max_shift: pixels that an image is shifted by at most, along either axis.
    warm_up: share of the steps after which the rate is at its peak.
    start: rate of the first step, as a share of the peak.
    end: rate of the last step, as a share of the peak.
    seed: seed of the initial weights and of all draws.
    version: raised whenever this module or the network changes meaning.
  """

  epochs: int = 12
  widths: tuple[int, ...] = (32, 128, 160)
  batch_size: int = 256
  learning_rate: float = 0.375
  bias_scale: float = 64.0
  momentum: float = 0.85
  weight_decay: float = 1.33e-3
  label_smoothing: float = 0.2
  max_shift: int = 2
  warm_up: float = 0.23
  start: float = 0.2
  end: float = 0.07
  seed: int = 0
  version: int = 1


def train(image_set: ImageSet, binarize: str, recipe: Recipe) -> Any:
  """Trains on the training split, on one device; a terminal shows the progress.

  Args:
    image_set: images with labels, at least `Recipe.batch_size` of them.
    binarize: one of `pixels.BINARIZE`; drawn anew at each step.
    recipe: epochs, sizes and optimizer.

  Returns:
    The parameters for `whitened.apply`, a nested dict of numpy arrays.
  """
  key = keys.named(jax.random.key(recipe.seed), "whitened")
  images = jnp.asarray(image_set.train_images)
  labels = jnp.asarray(image_set.train_labels)
  whiten = whitening(spread(image_set.train_images, WHITENED_IMAGES))
  params = initial(keys.named(key, "init"), image_set, recipe)
  mirrored = jax.random.bernoulli(keys.named(key, "mirror"), 0.5, labels.shape)
  total = recipe.epochs * (len(images) // recipe.batch_size)
  state = params, _optimizer(recipe, total).init(params)
  for step, (epoch, chosen) in enumerate(_batches(key, len(images), recipe)):
    state = _step(
      *state,
      whiten,
      images[chosen],
      labels[chosen],
      mirrored[chosen] ^ (epoch % 2 == 1),
      keys.numbered(key, step),
      binarize=binarize,
      recipe=recipe,
      total=total,
    )
  seen = spread(image_set.train_images, FOLDED_IMAGES)
  folded = fold({"whiten": whiten, **state[0]}, seen, binarize)
  return jax.tree.map(np.asarray, folded)


def _batches(
  key: jax.Array, num: int, recipe: Recipe
) -> Iterator[tuple[int, np.ndarray]]:
  """Epochs and indices of images, each image at most once an epoch."""
  key, size = keys.named(key, "order"), recipe.batch_size
  for epoch in tqdm.trange(recipe.epochs, desc="classifier", disable=None):
    order = jax.random.permutation(keys.numbered(key, epoch), num)
    for start in range(0, num - size + 1, size):
      yield epoch, np.asarray(order)[start : start + size]


def initial(key: jax.Array, image_set: ImageSet, recipe: Recipe) -> Any:
  """Parameters before training: each layer hands on what it is given.

  The filters beyond the channels of a layer's input, and the logits, are drawn.
  """
  params: dict[str, Any] = {}
  channels = 2 * whitened.PATCH**2 * image_set.image_shape[-1]
  for name in whitened.layers(len(recipe.widths)):
    width = recipe.widths[int(name[-2])]
    kernel = _draw(keys.named(key, name), (3, 3, channels, width), 9 * channels)
    same = min(channels, width)
    kernel = kernel.at[..., :same].set(0.0)
    kernel = kernel.at[1, 1, :, :same].set(jnp.eye(channels, same))
    params[name] = {"kernel": kernel, "bias": jnp.zeros(width)}
    channels = width
  shape = channels, image_set.num_classes or 0
  kernel = _draw(keys.named(key, "logits"), shape, channels)
  return {**params, "logits": {"kernel": kernel}}


def _draw(key: jax.Array, shape: tuple[int, ...], inputs: int) -> jax.Array:
  return jax.random.uniform(key, shape, minval=-1, maxval=1) / np.sqrt(inputs)


def whitening(images: np.ndarray) -> dict[str, jax.Array]:
  """The first layer: whitened patches, and their negatives.

  Args:
    images: (N, H, W, C) uint8.
  """
  side, channels = whitened.PATCH, images.shape[-1]
  x = np.asarray(pixels.to_float(images, whitened.VALUE_RANGE))
  windows = np.lib.stride_tricks.sliding_window_view(x, (side, side), (1, 2))
  patches = windows.transpose(0, 1, 2, 4, 5, 3).reshape(
    -1, side * side * channels
  )
  covariance = np.cov(patches, rowvar=False)
  values, vectors = np.linalg.eigh(covariance)
  epsilon = WHITENING_EPSILON * np.trace(covariance) / len(covariance)
  scaled = vectors / np.sqrt(values + epsilon)
  kernel = np.float32(np.concatenate([scaled, -scaled], 1))
  return {
    "kernel": jnp.asarray(kernel.reshape(side, side, channels, -1)),
    "bias": jnp.asarray(-patches.mean(0) @ kernel),
  }


def _optimizer(recipe: Recipe, total: int) -> optax.GradientTransformation:
  def sgd(scale):
    def rate(step):
      places, shares = (0, recipe.warm_up, 1), (recipe.start, 1, recipe.end)
      share = jnp.interp(step / total, jnp.array(places), jnp.array(shares))
      return scale * recipe.learning_rate * share

    return optax.chain(
      optax.add_decayed_weights(recipe.weight_decay / scale),
      optax.sgd(rate, recipe.momentum, nesterov=True),
    )

  return optax.multi_transform(
    {"kernel": sgd(1.0), "bias": sgd(recipe.bias_scale)},
    lambda params: jax.tree.map_with_path(lambda p, _: p[-1].key, params),
  )


def _normalize(name: str, x: jax.Array, seen: dict[str, Any]) -> jax.Array:
  """Each channel with mean zero, variance one; `seen` is told what it had."""
  axes = (0, 1, 2)
  mean, variance = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
  seen[name] = {"mean": mean, "variance": variance}
  return (x - mean) * jax.lax.rsqrt(variance + EPSILON)


@functools.partial(
  jax.jit,
  static_argnames=("binarize", "recipe", "total"),
  donate_argnames=("params", "opt_state"),
)
def _step(
  params,
  opt_state,
  whiten,
  images,
  labels,
  mirrored,
  key,
  *,
  binarize,
  recipe,
  total,
):
  """One step of SGD; the first layer stays as it is."""
  x = shift(images, recipe.max_shift, key)
  x = jnp.where(mirrored[:, None, None, None], x[:, :, ::-1], x)
  x = pixels.binarize(x, binarize, key=keys.named(key, "binarize"))
  x = pixels.to_float(x, whitened.VALUE_RANGE)

  def loss(params):
    features = whitened.look(
      {"whiten": whiten, **params}, x, functools.partial(_normalize, seen={})
    )
    logits = whitened.logits(params, features)
    classes = jax.nn.one_hot(labels, logits.shape[-1])
    targets = optax.smooth_labels(classes, recipe.label_smoothing)
    return optax.softmax_cross_entropy(logits, targets).mean()

  updates, opt_state = _optimizer(recipe, total).update(
    jax.grad(loss)(params), opt_state, params
  )
  return optax.apply_updates(params, updates), opt_state


def shift(images: jax.Array, most: int, key: jax.Array) -> jax.Array:
  """Shifts each image by up to `most` pixels, reflecting it at its border.

  Args:
    images: (B, H, W, C).
    most: pixels along either axis, either way.
    key: key of the draws.
  """
  num, height, width, channels = images.shape
  around = (0, 0), (most, most), (most, most), (0, 0)
  padded = jnp.pad(images, around, mode="reflect")
  down, right = (
    keys.integers(keys.named(key, name), num, 0, 2 * most + 1)
    for name in ("down", "right")
  )

  def cut(image, down, right):
    size = height, width, channels
    return jax.lax.dynamic_slice(image, (down, right, 0), size)

  return jax.vmap(cut)(padded, down, right)


def fold(params: Any, images: np.ndarray, binarize: str) -> Any:
  """Parameters in which batch normalization is part of kernels and biases.

  Args:
    params: parameters whose layers are normalized.
    images: (N, H, W, C) uint8, evenly of all classes: means and variances of
      what layers give are theirs.
    binarize: one of `pixels.BINARIZE`.
  """
  images = pixels.fixed_binarization(images, binarize, "train")

  @jax.jit
  def statistics(batch):
    seen: dict[str, Any] = {}
    x = pixels.to_float(batch, whitened.VALUE_RANGE)
    whitened.look(params, x, functools.partial(_normalize, seen=seen))
    return seen

  found = jax.tree.map(
    lambda *each: sum(each) / len(each),
    *(statistics(images[start::FOLDS]) for start in range(FOLDS)),
  )
  folded = dict(params)
  for name, at in found.items():
    scale = jax.lax.rsqrt(at["variance"] + EPSILON)
    folded[name] = {
      "kernel": params[name]["kernel"] * scale,
      "bias": params[name]["bias"] - (at["mean"] * scale).reshape(-1),
    }
  return folded
