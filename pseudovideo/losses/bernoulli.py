"""The last step of an HVAE of black-and-white images: a Bernoulli per pixel.

On images whose pixels are 0 or 1 a Gaussian p(x_0 | x_1) is a density that
grows without bound as its scale shrinks. Probabilities are at most 1, so that
bounds made of them can be compared with other models of binarized images.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

# Width, in pixel values, over which the probability goes from black to white.
SCALE = 0.1


def logits_of_mean(mean: Float[Array, "*rest"]) -> Float[Array, "*rest"]:
  """Logits of a pixel being white, from a mean of pixels in [0, 1].

  (mean - 1/2) / `SCALE`. A residual network starts by returning its input, an
  image in [0, 1]. Taken as logits, black (0) would mean probability 1/2 and
  white (1) 0.73; this way they mean 0.0067 and 0.9933 and grey stays 1/2, so
  that the untrained last step already keeps the image.
  """
  return (mean - 0.5) / SCALE


def negative_log_likelihood(
  logits: Float[Array, " B *rest"], x: Float[Array, " B *rest"]
) -> Float[Array, " B"]:
  """The sum of -x log p - (1 - x) log(1 - p) in nats, with p = sigmoid(logits).

  No logarithm of a rounded probability is taken: a confident wrong pixel costs
  |logit|, however large, and its gradient is finite.

  Args:
    logits: log p / (1 - p).
    x: 0 or 1; values between give the cross-entropy.
  """
  # -log p = softplus(-logit), -log(1 - p) = softplus(logit).
  nll = x * jax.nn.softplus(-logits) + (1 - x) * jax.nn.softplus(logits)
  return jnp.sum(nll, axis=tuple(range(1, nll.ndim)))
