"""The closed forms of a Gaussian chain (Ho et al. 2020, Sec. 2).

  q(x_k | x0)          = N(sqrt(ab_k) x0, (1 - ab_k) I)               (Eq. 4)
  q(x_{k-1} | x_k, x0) = N(posterior mean, posterior variance I)      (Eq. 6-7)

with ab_k = alphabar_k. A respaced chain (Nichol & Dhariwal 2021, Eq. 19) has
the same ab at the steps it keeps, and betas that follow from their ratios.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from pseudovideo.diffusion import process as processes
from pseudovideo.diffusion import respacing as respacings


def at(table: np.ndarray, k: jax.Array, like: jax.Array) -> jax.Array:
  """Entries k of a (K,) float64 table, to be multiplied with `like`.

  Args:
    table: (K,) float64, rounded once, to the type of `like`.
    k: (B,) int32.
    like: (B, ...).

  Returns:
    (B, 1, .., 1) of the rank and (at least float32) type of `like`.
  """
  dtype = jnp.result_type(like, jnp.float32)
  return jnp.asarray(table, dtype)[k].reshape(k.shape + (1,) * (like.ndim - 1))


@dataclasses.dataclass(frozen=True, eq=False)
class Chain:
  """Tables of a chain of K steps; a plain object, closed over by `jax.jit`.

  All methods take k (B,) int32 and arrays (B, ...) of any rank.

  Attributes:
    alpha_bars: (K,) float64, strictly decreasing inside (0, 1).
    times: (K,) what the network is told, original step * 1000 / trained steps.
    variance: of the reverse steps, see `Process`.
  """

  alpha_bars: np.ndarray
  times: np.ndarray
  variance: str = "fixed_large"

  @classmethod
  @functools.lru_cache
  def of(cls, process: processes.Process, respacing: str = "") -> "Chain":
    """The chain of a process; the same object for the same arguments.

    Raises:
      UserError: a respacing that is unknown or impossible.
    """
    kept = respacings.kept_steps(respacing, process.steps)
    alpha_bars = np.cumprod(1 - process.betas())[kept]
    return cls(alpha_bars, kept * (1000 / process.steps), process.variance)

  def __len__(self) -> int:
    return len(self.alpha_bars)

  @functools.cached_property
  def alpha_bars_before(self) -> np.ndarray:
    """(K,) alphabar_{k-1}; entry 0 is 1."""
    return np.append(1.0, self.alpha_bars[:-1])

  @functools.cached_property
  def betas(self) -> np.ndarray:
    """(K,) 1 - alphabar_k / alphabar_{k-1}."""
    return 1 - self.alpha_bars / self.alpha_bars_before

  @functools.cached_property
  def posterior_variances(self) -> np.ndarray:
    """(K,) of x_{k-1} given x_k and x0; entry 0 is 0."""
    return self.betas * (1 - self.alpha_bars_before) / (1 - self.alpha_bars)

  @functools.cached_property
  def posterior_log_variances(self) -> np.ndarray:
    """(K,) their logarithms, entry 0 replaced by entry 1."""
    return np.log(self.posterior_variances[np.r_[1, 1 : len(self)]])

  @functools.cached_property
  def log_betas(self) -> np.ndarray:
    """(K,) the largest log variances, of which `learned` makes use."""
    return np.log(self.betas)

  @functools.cached_property
  def fixed_large_log_variances(self) -> np.ndarray:
    """(K,) log beta_k, but the posterior's for k = 0."""
    return np.append(self.posterior_log_variances[0], self.log_betas[1:])

  def time(self, k: jax.Array) -> jax.Array:
    """(B,) float32, what the network gets for k (B,)."""
    return jnp.asarray(self.times, jnp.float32)[k]

  def add_noise(self, x0: jax.Array, eps: jax.Array, k: jax.Array) -> jax.Array:
    """x_k = sqrt(ab_k) x0 + sqrt(1 - ab_k) eps."""
    signal = at(np.sqrt(self.alpha_bars), k, x0)
    return signal * x0 + at(np.sqrt(1 - self.alpha_bars), k, x0) * eps

  def x0_from_eps(
    self, x: jax.Array, eps: jax.Array, k: jax.Array
  ) -> jax.Array:
    """The x0 from which x_k = x arises with the noise eps."""
    scaled = at(np.sqrt(1 / self.alpha_bars), k, x) * x
    return scaled - at(self._noise_to_signal, k, x) * eps

  def eps_from_x0(self, x: jax.Array, x0: jax.Array, k: jax.Array) -> jax.Array:
    """The noise with which x_k = x arises from x0."""
    scaled = at(np.sqrt(1 / self.alpha_bars), k, x) * x
    return (scaled - x0) / at(self._noise_to_signal, k, x)

  @functools.cached_property
  def _noise_to_signal(self) -> np.ndarray:
    return np.sqrt(1 / self.alpha_bars - 1)

  def posterior_mean(
    self, x0: jax.Array, x: jax.Array, k: jax.Array
  ) -> jax.Array:
    """Mean of x_{k-1} given x_k = x and x0; for k = 0 it is x0 itself."""
    noise = 1 - self.alpha_bars
    of_x0 = self.betas * np.sqrt(self.alpha_bars_before) / noise
    of_x = (1 - self.alpha_bars_before) * np.sqrt(1 - self.betas) / noise
    return at(of_x0, k, x) * x0 + at(of_x, k, x) * x

  def posterior_log_variance(self, k: jax.Array, like: jax.Array) -> jax.Array:
    """Log variance of x_{k-1} given x_k and x0, clipped: k = 0 as k = 1.

    Returns:
      (B, 1, .., 1), broadcastable to `like`.
    """
    return at(self.posterior_log_variances, k, like)

  def reverse_log_variance(
    self, k: jax.Array, like: jax.Array, v: jax.Array | None = None
  ) -> jax.Array:
    """Log variance of the reverse step p(x_{k-1} | x_k).

    Args:
      k: (B,) int32.
      like: (B, ...), an array of the shape of x.
      v: (B, ...), only of a learned variance: -1 stands for the posterior's,
        1 for beta_k, and other values, also outside, for log variances in
        proportion (Nichol & Dhariwal 2021, Eq. 15, with (v + 1) / 2 for v).

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
    if self.variance == "learned":
      share = (v + 1) / 2
      small = self.posterior_log_variance(k, like)
      return share * at(self.log_betas, k, like) + (1 - share) * small
    if self.variance == "fixed_small":
      return self.posterior_log_variance(k, like)
    return at(self.fixed_large_log_variances, k, like)
