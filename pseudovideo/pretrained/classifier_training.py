"""Trains the classifier whose features and predictions the metrics use.

The Inception weights of the FID are 95 MB to download, expect 299x299 colour
photographs, and say little about 8x8 digits. So a small network is trained on
the training split of the data set itself, by a fixed recipe: everything random
comes from the recipe's seed, so the same software on the same kind of device
gives the same weights, bit for bit. On a CPU the number of cores changes the
order of sums and with it the last bits, so a score quotes the weights' hash,
and `packaged` holds those of some data sets.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tqdm

from pseudovideo import keys, pixels
from pseudovideo.data.image_set import ImageSet
from pseudovideo.pretrained.networks import classifier

WIDTHS = (32, 64)


@dataclasses.dataclass(frozen=True)
class Recipe:
  """The recipe by which a classifier is trained.

  Attributes:
    steps: optimizer steps.
    max_shift: each training image is shifted by up to this fraction of its
      side, either way and along either axis, repeating its border ...
    max_angle: ... rotated by up to this angle (radians), either way ...
    max_log_scale: ... and scaled by up to the exponential of this, either way.
    batch_size: images per step, drawn with replacement.
    learning_rate: peak of AdamW's; linear warm-up over a tenth of the steps,
      then a cosine to zero.
    weight_decay: AdamW's, decoupled.
    seed: seed of the initial weights and of all draws.
    version: raised whenever this module or the network changes meaning.
  """

  steps: int
  max_shift: float = 0.09
  max_angle: float = 0.2
  max_log_scale: float = 0.1
  batch_size: int = 128
  learning_rate: float = 3e-3
  weight_decay: float = 1e-3
  seed: int = 0
  version: int = 1


def default_recipe(image_set: ImageSet) -> Recipe:
  """The recipe with more steps for a larger set, up to 3,000."""
  return Recipe(steps=min(3000, 400 + len(image_set.train_images) // 10))


def network_name(image_set: ImageSet, binarize: str) -> str:
  """The name of a data set's classifier, such as `mnistcls-bernoulli`."""
  name = f"{image_set.name.partition(':')[0]}cls"
  return name if binarize == "none" else f"{name}-{binarize}"


def network_for(image_set: ImageSet) -> classifier.Classifier:
  """The network for images of this size: its last level is at most 4x4.

  Args:
    image_set: images with labels.

  Raises:
    ValueError: there are no labels.
  """
  if image_set.num_classes is None:
    raise ValueError(f"The data set {image_set.name!r} has no labels.")
  levels = 1
  side = min(image_set.image_shape[:2])
  while side > 4:
    side = (side + 1) // 2
    levels += 1
  widths = [WIDTHS[min(level, 1)] for level in range(levels)]
  return classifier.Classifier(image_set.num_classes, tuple(widths))


def train(image_set: ImageSet, binarize: str, recipe: Recipe) -> Any:
  """Trains `network_for(image_set)` on the training split, on one device.

  A terminal shows the progress.

  Args:
    image_set: images with labels.
    binarize: one of `pixels.BINARIZE`; drawn anew at each step.
    recipe: steps, augmentation and optimizer.

  Returns:
    The parameters, a nested dict of numpy arrays.
  """
  network = network_for(image_set)
  key = keys.named(jax.random.key(recipe.seed), "classifier")
  images = jnp.asarray(image_set.train_images)
  labels = jnp.asarray(image_set.train_labels)
  params = jax.jit(network.init)(
    keys.named(key, "init"), jnp.zeros((1, *image_set.image_shape))
  )["params"]
  opt_state = _optimizer(recipe).init(params)
  progress = tqdm.trange(
    recipe.steps, desc=f"classifier of {image_set.name}", disable=None
  )
  for step in progress:
    params, opt_state = _step(
      params,
      opt_state,
      images,
      labels,
      keys.numbered(key, step),
      network=network,
      binarize=binarize,
      recipe=recipe,
    )
  return jax.tree.map(np.asarray, params)


def _optimizer(recipe: Recipe) -> optax.GradientTransformation:
  rate = optax.warmup_cosine_decay_schedule(
    0.0, recipe.learning_rate, recipe.steps // 10, recipe.steps
  )
  return optax.adamw(rate, weight_decay=recipe.weight_decay)


@functools.partial(
  jax.jit,
  static_argnames=("network", "binarize", "recipe"),
  donate_argnames=("params", "opt_state"),
)
def _step(params, opt_state, images, labels, key, *, network, binarize, recipe):
  """One AdamW step on a batch drawn with `key`."""
  chosen = keys.integers(
    keys.named(key, "images"), recipe.batch_size, 0, len(images)
  )
  batch = _warp(images[chosen], recipe, keys.named(key, "warp"))
  batch = pixels.binarize(batch, binarize, key=keys.named(key, "binarize"))
  batch = pixels.to_float(batch, classifier.VALUE_RANGE)

  def loss(params):
    _, logits = network.apply({"params": params}, batch)
    return optax.softmax_cross_entropy_with_integer_labels(
      logits, labels[chosen]
    ).mean()

  updates, opt_state = _optimizer(recipe).update(
    jax.grad(loss)(params), opt_state, params
  )
  return optax.apply_updates(params, updates), opt_state


def _warp(images: jax.Array, recipe: Recipe, key: jax.Array) -> jax.Array:
  """Rotates, scales and shifts each uint8 image a little, bilinearly."""
  num, height, width, _ = images.shape

  def draw(name, most):
    return most * (2 * keys.uniform(keys.named(key, name), (num,)) - 1)

  def warp(image, angle, log_scale, down, right):
    rows, columns = jnp.meshgrid(
      jnp.arange(height) - (height - 1) / 2,
      jnp.arange(width) - (width - 1) / 2,
      indexing="ij",
    )
    cosine = jnp.exp(log_scale) * jnp.cos(angle)
    sine = jnp.exp(log_scale) * jnp.sin(angle)
    points = (
      cosine * rows - sine * columns + down + (height - 1) / 2,
      sine * rows + cosine * columns + right + (width - 1) / 2,
    )
    return jax.vmap(
      lambda plane: jax.scipy.ndimage.map_coordinates(
        plane, points, order=1, mode="nearest"
      ),
      in_axes=2,
      out_axes=2,
    )(image)

  warped = jax.vmap(warp)(
    pixels.to_float(images, (0.0, 255.0)),
    draw("angle", recipe.max_angle),
    draw("scale", recipe.max_log_scale),
    draw("down", recipe.max_shift * height),
    draw("right", recipe.max_shift * width),
  )
  return pixels.quantize(warped, (0.0, 255.0)).images
