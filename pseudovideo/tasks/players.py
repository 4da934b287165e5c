"""The adversarial terms of autoencoders' losses: both players in one step.

Each player holds the other fixed. The network's side is weighted against the
gradient of its reconstruction at the last layer, see
`losses.adversarial.last_layer_weight` (Esser et al. 2021).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from pseudovideo.losses import adversarial
from pseudovideo.shapes import mean_of_each
from pseudovideo.tasks import base


class LastLayer(NamedTuple):
  """The layer at which two gradients are compared.

  Attributes:
    decode: (kernels, features) -> decoded (B, T, H, W, C).
    kernels: the layer's kernels, a tree of arrays.
    features: the features that the kernels are applied to.
  """

  decode: Callable[[Any, jax.Array], jax.Array]
  kernels: Any
  features: jax.Array


def terms(
  task: Any,
  discriminator: base.Params,
  *,
  judged: Callable[[jax.Array], jax.Array],
  video: jax.Array,
  decoded: jax.Array,
  last_layer: LastLayer,
  distance: Callable[[jax.Array], jax.Array],
  step: jax.Array,
) -> base.Terms:
  """The terms `generator`, `adaptive_weight`, `hinge_real` and `hinge_fake`.

  Args:
    task: has `discriminator` and the fields `adversarial_weight`,
      `adversarial_from` and `most_adaptive`.
    discriminator: parameters of the discriminator.
    judged: (B, T, H, W, C) -> the part that the discriminator sees.
    video: (B, T, H, W, C), the pseudo videos.
    decoded: (B, T, H, W, C), the network's reconstructions of them.
    last_layer: last layer of the network that decoded.
    distance: (B, T, H, W, C) -> (B,), the reconstruction's distance whose
      gradient the generator's is weighed against.
    step: number of updates done.
  """
  fixed = jax.lax.stop_gradient(discriminator)

  def generator(made):
    fooled = logits(task, fixed, judged(made))
    return mean_of_each(adversarial.generator(fooled))

  weight = adversarial.last_layer_weight(
    *last_layer,
    lambda made: jnp.mean(distance(made)),
    lambda made: jnp.mean(generator(made)),
    task.most_adaptive,
  )
  started = jnp.float32(step >= task.adversarial_from)
  fooling = generator(decoded)
  hinge_real, hinge_fake = adversarial.hinge_discriminator(
    logits(task, discriminator, judged(video)),
    logits(task, discriminator, jax.lax.stop_gradient(judged(decoded))),
  )
  return {
    "generator": base.mean_term(
      fooling, task.adversarial_weight * started * weight
    ),
    "adaptive_weight": base.mean_term(jnp.broadcast_to(weight, fooling.shape)),
    "hinge_real": base.mean_term(mean_of_each(hinge_real), 1.0),
    "hinge_fake": base.mean_term(mean_of_each(hinge_fake), 1.0),
  }


def logits(task: Any, discriminator: base.Params, judged: jax.Array):
  """Logits of the discriminator for what it sees, (B, ...)."""
  return task.discriminator.apply({"params": discriminator}, judged)
