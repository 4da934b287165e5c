"""The closed forms of a Gaussian chain (Ho et al. 2020, Sec. 2).

  q(x_k | x0)          = N(sqrt(ab_k) x0, (1 - ab_k) I)               (Eq. 4)
  q(x_{k-1} | x_k, x0) = N(posterior mean, posterior variance I)      (Eq. 6-7)

with ab_k = alphabar_k. A respaced chain (Nichol & Dhariwal 2021, Eq. 19) has
the same ab at the steps it keeps, and betas that follow from their ratios.
"""

import dataclasses
import functools
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Float64, Int, Real

from pseudovideo.diffusion.process import Process
from pseudovideo.diffusion.respacing import kept_steps

Predict = Callable[
  [Float[Array, " B *rest"], Float32[Array, " B"]],
  tuple[Float[Array, " B *rest"], Float[Array, " B *rest"] | None],
]
"""A network, as the package describes it: (x, time) -> (eps, v)."""


def at(
  table: Float64[np.ndarray, " K"],
  k: Int[Array, " B"],
  like: Float[Array, "B ..."],
) -> Float[Array, "B ..."]:
  """Entries k of a table, to be multiplied with `like`.

  Args:
    table: one number per step, rounded once, to the type of `like`.
    k: step of each example.
    like: examples of any rank.

  Returns:
    (B, 1, .., 1) of the rank and (at least float32) type of `like`.
  """
  dtype = jnp.result_type(like, jnp.float32)
  return jnp.asarray(table, dtype)[k].reshape(k.shape + (1,) * (like.ndim - 1))


@dataclasses.dataclass(frozen=True, eq=False)
class Chain:
  """Tables of a chain of K steps; a plain object, closed over by `jax.jit`.

  Attributes:
    alpha_bars: strictly decreasing inside (0, 1).
    times: inputs of the network, original step * 1000 / trained steps.
    variance: kind of the reverse steps' variance, see `Process`.
  """

  alpha_bars: Float64[np.ndarray, " K"]
  times: Real[np.ndarray, " K"]
  variance: str = "fixed_large"

  @classmethod
  @functools.lru_cache
  def of(cls, process: Process, respacing: str = "") -> "Chain":
    """The chain of a process; the same object for the same arguments.

    Raises:
      UserError: a respacing that is unknown or impossible.
    """
    kept = kept_steps(respacing, process.steps)
    alpha_bars = np.cumprod(1 - process.betas())[kept]
    return cls(alpha_bars, kept * (1000 / process.steps), process.variance)

  def __len__(self) -> int:
    return len(self.alpha_bars)

  @functools.cached_property
  def alpha_bars_before(self) -> Float64[np.ndarray, " K"]:
    """The values alphabar_{k-1}; entry 0 is 1."""
    return np.append(1.0, self.alpha_bars[:-1])

  @functools.cached_property
  def betas(self) -> Float64[np.ndarray, " K"]:
    """The values beta_k = 1 - alphabar_k / alphabar_{k-1}."""
    return 1 - self.alpha_bars / self.alpha_bars_before

  @functools.cached_property
  def posterior_variances(self) -> Float64[np.ndarray, " K"]:
    """The variances of x_{k-1} given x_k and x0 (Eq. 7); entry 0 is 0."""
    return self.betas * (1 - self.alpha_bars_before) / (1 - self.alpha_bars)

  @functools.cached_property
  def posterior_log_variances(self) -> Float64[np.ndarray, " K"]:
    """The logarithms of the posterior variances; entry 0 repeats entry 1."""
    return np.log(self.posterior_variances[np.r_[1, 1 : len(self)]])

  @functools.cached_property
  def log_betas(self) -> Float64[np.ndarray, " K"]:
    """The values log beta_k, the upper end of learned log variances."""
    return np.log(self.betas)

  @functools.cached_property
  def fixed_large_log_variances(self) -> Float64[np.ndarray, " K"]:
    """The values log beta_k, but the posterior log variance for k = 0."""
    return np.append(self.posterior_log_variances[0], self.log_betas[1:])

  def time(self, k: Int[Array, " B"]) -> Float32[Array, " B"]:
    """The input of the network for steps k."""
    return jnp.asarray(self.times, jnp.float32)[k]

  def add_noise(
    self,
    x0: Float[Array, " B *rest"],
    eps: Float[Array, " B *rest"],
    k: Int[Array, " B"],
  ) -> Float[Array, " B *rest"]:
    """The noisy x_k = sqrt(ab_k) x0 + sqrt(1 - ab_k) eps (Eq. 4)."""
    signal = at(np.sqrt(self.alpha_bars), k, x0)
    return signal * x0 + at(np.sqrt(1 - self.alpha_bars), k, x0) * eps

  def x0_from_eps(
    self,
    x: Float[Array, " B *rest"],
    eps: Float[Array, " B *rest"],
    k: Int[Array, " B"],
  ) -> Float[Array, " B *rest"]:
    """The x0 from which x_k = x arises with the noise eps."""
    scaled = at(np.sqrt(1 / self.alpha_bars), k, x) * x
    return scaled - at(self._noise_to_signal, k, x) * eps

  def eps_from_x0(
    self,
    x: Float[Array, " B *rest"],
    x0: Float[Array, " B *rest"],
    k: Int[Array, " B"],
  ) -> Float[Array, " B *rest"]:
    """The noise with which x_k = x arises from x0."""
    scaled = at(np.sqrt(1 / self.alpha_bars), k, x) * x
    return (scaled - x0) / at(self._noise_to_signal, k, x)

  @functools.cached_property
  def _noise_to_signal(self) -> Float64[np.ndarray, " K"]:
    """The ratios sqrt((1 - ab_k) / ab_k)."""
    return np.sqrt(1 / self.alpha_bars - 1)

  def posterior_mean(
    self,
    x0: Float[Array, " B *rest"],
    x: Float[Array, " B *rest"],
    k: Int[Array, " B"],
  ) -> Float[Array, " B *rest"]:
    """Mean of x_{k-1} given x_k = x and x0 (Eq. 7); for k = 0 it is x0."""
    noise = 1 - self.alpha_bars
    of_x0 = self.betas * np.sqrt(self.alpha_bars_before) / noise
    of_x = (1 - self.alpha_bars_before) * np.sqrt(1 - self.betas) / noise
    return at(of_x0, k, x) * x0 + at(of_x, k, x) * x

  def posterior_log_variance(
    self, k: Int[Array, " B"], like: Float[Array, "B ..."]
  ) -> Float[Array, "B ..."]:
    """Log variance of x_{k-1} given x_k and x0; k = 0 takes the value of k = 1.

    Returns:
      (B, 1, .., 1), broadcastable to `like`.
    """
    return at(self.posterior_log_variances, k, like)

  def reverse_log_variance(
    self,
    k: Int[Array, " B"],
    like: Float[Array, " B *rest"],
    v: Float[Array, " B *rest"] | None = None,
  ) -> Float[Array, "B *#rest"]:
    """Log variance of the reverse step p(x_{k-1} | x_k).

    Args:
      k: step of each example.
      like: an array of the shape of x.
      v: for a learned variance only: -1 stands for the posterior log variance,
        1 for log beta_k. The log variance is linear in v, also outside [-1, 1]
        (Nichol & Dhariwal 2021, Eq. 15, with (v + 1) / 2 for v).

    Returns:
      Broadcastable to `like` with equal rank.

    Raises:
      ValueError: v is missing, or given for a fixed variance.
    """
    if (v is None) == (self.variance == "learned"):
      raise ValueError(
        f"The variance {self.variance!r} {'lacks' if v is None else 'has no'} "
        "v; only a network with a learned variance predicts one."
      )
    if v is not None:
      share = (v + 1) / 2
      small = self.posterior_log_variance(k, like)
      return share * at(self.log_betas, k, like) + (1 - share) * small
    if self.variance == "fixed_small":
      return self.posterior_log_variance(k, like)
    return at(self.fixed_large_log_variances, k, like)
