"""Adversarial losses of images, and how they are weighed against others.

Minimise, with D the discriminator and G(z) a generated image,

  over D: mean hinge_real + mean hinge_fake + 10 mean gradient_penalty
  over G: the other losses + adaptive weight * mean generator

as the public Phenaki implementation does for C-ViViT; the 10 is the penalty's
published weight.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

LogitsFn = Callable[[jax.Array], jax.Array]
ImageLoss = Callable[[jax.Array], jax.Array]


def hinge_discriminator(
  real_logits: jax.Array, fake_logits: jax.Array
) -> tuple[jax.Array, jax.Array]:
  """max(0, 1 - D(x)) and max(0, 1 + D(G(z))) (Lim & Ye 2017, 1705.02894).

  Args:
    real_logits: (B,).
    fake_logits: (B',).

  Returns:
    The two parts (B,) and (B',), to be averaged and added.
  """
  return jax.nn.relu(1 - real_logits), jax.nn.relu(1 + fake_logits)


def generator(fake_logits: jax.Array) -> jax.Array:
  """-D(G(z)), (B,) -> (B,)."""
  return -fake_logits


def gradient_penalty(logits_fn: LogitsFn, images: jax.Array) -> jax.Array:
  """(|grad_x D(x)| - 1)^2 at real images.

  The penalty of Gulrajani et al. 2017 (1704.00028, Eq. 3), but taken at the
  real images instead of between them and generated ones. Its published weight
  is 10. Where D is constant the penalty is 1 and pulls nowhere.

  Args:
    logits_fn: (B, H, W, C) -> (B,), each logit from its image alone.
    images: (B, H, W, C) in the range that the discriminator is trained on.

  Returns:
    (B,).
  """
  squares = r1(logits_fn, images)
  # The root has no slope at zero; without the choice it would be NaN.
  positive = squares > 0
  norm = jnp.sqrt(jnp.where(positive, squares, 1.0))
  return jnp.square(jnp.where(positive, norm, 0.0) - 1)


def r1(logits_fn: LogitsFn, images: jax.Array) -> jax.Array:
  """|grad_x D(x)|^2 at real images (Mescheder et al. 2018, Eq. 9).

  Their factor gamma / 2 is the weight outside.

  Args:
    logits_fn: as `gradient_penalty` takes.
    images: (B, H, W, C).

  Returns:
    (B,).
  """
  slopes = jax.grad(lambda x: jnp.sum(logits_fn(x)))(images)
  return jnp.sum(jnp.square(slopes), axis=tuple(range(1, slopes.ndim)))


def adaptive_weight(
  numerator_grad_norm: jax.Array,
  generator_grad_norm: jax.Array,
  most: float,
) -> jax.Array:
  """The weight at which both losses pull equally (Esser et al. 2021, Eq. 7).

  Args:
    numerator_grad_norm: scalar, of the loss that sets the measure: the
      perceptual one, or the reconstruction where there is none.
    generator_grad_norm: scalar, of `generator`.
    most: the weight is at most this; 1e4 in the published code.

  Returns:
    numerator / (generator + 1e-8), at most `most`; a constant for gradients.
    Without a slope of the generator loss it is `most`, and 0 without one of
    the numerator, whatever the generator's is.
  """
  ratio = numerator_grad_norm / (generator_grad_norm + 1e-8)
  return jax.lax.stop_gradient(jnp.clip(ratio, 0.0, most))


def last_layer_weight(
  head: Callable[[Any, jax.Array], jax.Array],
  kernel: Any,
  features: jax.Array,
  numerator: ImageLoss,
  generator_loss: ImageLoss,
  most: float,
) -> jax.Array:
  """`adaptive_weight` with gradients by the kernel of the last layer alone.

  The features are constants: nothing in front of the last layer is
  differentiated. Do not call it inside `lax.scan`.

  Args:
    head: (kernel, features) -> pixels, the last layer.
    kernel: its kernel, an array or a tree of arrays. It must be what the
      pixels are made with: for a layer that these pixels do not pass, both
      gradients and the weight are 0.
    features: what the last layer is given.
    numerator: pixels -> scalar.
    generator_loss: pixels -> scalar.
    most: see `adaptive_weight`.

  Returns:
    A scalar.
  """
  features = jax.lax.stop_gradient(features)
  pixels, pull = jax.vjp(lambda tree: head(tree, features), kernel)

  def norm(loss):
    return optax.tree.norm(pull(jax.grad(loss)(pixels)))

  return adaptive_weight(norm(numerator), norm(generator_loss), most)
