"""Adversarial losses of images, and their weight against other losses.

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
from jaxtyping import Array, Float

LogitsFn = Callable[[Float[Array, "B H W C"]], Float[Array, "B ..."]]
ImageLoss = Callable[[Float[Array, "..."]], Float[Array, ""]]


def hinge_discriminator(
  real_logits: Float[Array, "*real"], fake_logits: Float[Array, "*fake"]
) -> tuple[Float[Array, "*real"], Float[Array, "*fake"]]:
  """The hinges of D (Lim & Ye 2017, 1705.02894).

  Args:
    real_logits: D(x) of the real images, one or several per image.
    fake_logits: D(G(z)) of the generated ones.

  Returns:
    max(0, 1 - D(x)) and max(0, 1 + D(G(z))), to be averaged and added.
  """
  return jax.nn.relu(1 - real_logits), jax.nn.relu(1 + fake_logits)


def generator(fake_logits: Float[Array, "*fake"]) -> Float[Array, "*fake"]:
  """The loss of G: -D(G(z)), from the logits D(G(z))."""
  return -fake_logits


def gradient_penalty(
  logits_fn: LogitsFn, images: Float[Array, "B H W C"]
) -> Float[Array, " B"]:
  """The penalty (|grad_x D(x)| - 1)^2 at real images.

  It is the penalty of Gulrajani et al. 2017 (1704.00028, Eq. 3), but taken at
  the real images instead of between real and generated images. Its published
  weight is 10. Where D is constant the penalty is 1 and its gradient 0.

  Args:
    logits_fn: D, each of its logits from one image alone.
    images: x, in the range that the discriminator is trained on.
  """
  squares = r1(logits_fn, images)
  # The root has no slope at zero; without the choice it would be NaN.
  positive = squares > 0
  norm = jnp.sqrt(jnp.where(positive, squares, 1.0))
  return jnp.square(jnp.where(positive, norm, 0.0) - 1)


def r1(
  logits_fn: LogitsFn, images: Float[Array, "B H W C"]
) -> Float[Array, " B"]:
  """The penalty |grad_x D(x)|^2 at real images (Mescheder et al. 2018, Eq. 9).

  Their factor gamma / 2 is the weight outside.

  Args:
    logits_fn: D, each of its logits from one image alone.
    images: x.
  """
  # Logits depend on their own image only, so the gradient of the sum of all is
  # the gradient for each image, (B, H, W, C).
  slopes = jax.grad(lambda x: jnp.sum(logits_fn(x)))(images)
  return jnp.sum(jnp.square(slopes), axis=tuple(range(1, slopes.ndim)))


def adaptive_weight(
  numerator_grad_norm: Float[Array, ""],
  generator_grad_norm: Float[Array, ""],
  most: float,
) -> Float[Array, ""]:
  """The weight at which both losses pull equally (Esser et al. 2021, Eq. 7).

  Args:
    numerator_grad_norm: gradient norm of the loss to compare with: the
      perceptual loss, or the reconstruction where there is none.
    generator_grad_norm: gradient norm of `generator`.
    most: upper limit of the weight; 1e4 in the published code.

  Returns:
    numerator / (generator + 1e-8), at most `most`; a constant for gradients.
    It is `most` where the generator's gradient is 0, and 0 where the
    numerator's is.
  """
  ratio = numerator_grad_norm / (generator_grad_norm + 1e-8)
  return jax.lax.stop_gradient(jnp.clip(ratio, 0.0, most))


def last_layer_weight(
  head: Callable[[Any, Float[Array, "B ..."]], Float[Array, "B ..."]],
  kernel: Any,
  features: Float[Array, "B ..."],
  numerator: ImageLoss,
  generator_loss: ImageLoss,
  most: float,
) -> Float[Array, ""]:
  """The `adaptive_weight` of gradients with respect to the last kernel alone.

  The features are constants: nothing in front of the last layer is
  differentiated. Do not call it inside `lax.scan`.

  Args:
    head: (kernel, features) -> pixels, the last layer.
    kernel: its kernel, an array or a tree of arrays. It must be what the
      pixels are made with: for a layer that these pixels do not pass, both
      gradients and the weight are 0.
    features: inputs of the last layer.
    numerator: loss of the pixels to compare with.
    generator_loss: loss of the pixels that is to be weighed.
    most: upper limit of the weight.
  """
  features = jax.lax.stop_gradient(features)
  # `pull` takes a gradient with respect to the pixels to the kernel's.
  pixels, pull = jax.vjp(lambda tree: head(tree, features), kernel)

  def norm(loss):
    return optax.tree.norm(pull(jax.grad(loss)(pixels)))

  return adaptive_weight(norm(numerator), norm(generator_loss), most)
