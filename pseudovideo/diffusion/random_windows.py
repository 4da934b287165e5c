"""Random training windows of flexible video diffusion (Harvey et al. 2022).

One draw takes s ~ U{1 .. K} frames at equal distances. The distance is
log-uniform on [1, T / (s - 0.999)], the first place uniform where all fit. A
window starts with one draw of latent frames. Each further draw, less the frames
already there, is observed or latent by the flip of a coin. The window is
finished when a draw would make more than K frames in all.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float32, Int32, Key

from pseudovideo import errors, keys


def check(frames: int, window: int) -> None:
  """Refuses windows that the rule above would never finish.

  Raises:
    UserError: the window is as long as the video, or longer.
  """
  if not 1 <= window < frames:
    raise errors.UserError(
      "With task.training_windows='random' a window, task.context + 1 or "
      "task.window, must be shorter than the video, else every draw fits and "
      f"drawing never ends; got a window of {window} frames for videos of "
      f"{frames}."
    )


def draw(
  key: keys.Keys, num: int, frames: int, window: int
) -> tuple[
  Int32[Array, "num K"], Float32[Array, "num K"], Float32[Array, "num K"]
]:
  """Windows of `num` videos, frames in increasing order, then padding.

  Args:
    key: scalar or (num,) keys.
    num: number of videos.
    frames: T.
    window: K, in 1 .. T - 1.

  Returns:
    The index of each frame; 1 where it is observed; and 1 where it is latent.
    Padding is neither; its index is some frame that is not in the window.
  """
  check(frames, window)
  rows = keys.example_keys(key, num)
  # Masks of all T frames, (num, T).
  observed, latent = jax.vmap(lambda k: _masks(k, frames, window))(rows)
  used = observed | latent
  # Used frames first, each group in increasing order.
  order = jnp.argsort(~used, axis=1, stable=True)[:, :window]
  observed, latent = (
    jnp.take_along_axis(mask, order, axis=1) for mask in (observed, latent)
  )
  return (
    order.astype(jnp.int32),
    observed.astype(jnp.float32),
    latent.astype(jnp.float32),
  )


def _some(key: Key[Array, ""], frames: int, window: int) -> Bool[Array, " T"]:
  """One draw of equidistant frames."""
  key_count, key_distance, key_place = jax.random.split(key, 3)
  count = jax.random.randint(key_count, (), 1, window + 1)
  longest = jnp.log(frames / (count - 0.999))
  distance = jnp.exp(jax.random.uniform(key_distance) * longest)
  room = frames - distance * (count - 1)
  first = jax.random.uniform(key_place) * room
  places = jnp.arange(window)
  # (K,): the frames drawn, then T, which is no frame and is dropped.
  chosen = jnp.floor(first + places * distance).astype(jnp.int32)
  chosen = jnp.where(places < count, jnp.minimum(chosen, frames - 1), frames)
  return jnp.zeros(frames, bool).at[chosen].set(True, mode="drop")


def _masks(
  key: Key[Array, ""], frames: int, window: int
) -> tuple[Bool[Array, " T"], Bool[Array, " T"]]:
  """The observed and the latent frames of one video."""

  def body(carry):
    number, observed, latent, _ = carry
    here = jax.random.fold_in(key, number)
    is_observed = jax.random.bernoulli(jax.random.fold_in(here, 1))
    used = observed | latent
    new = _some(jax.random.fold_in(here, 0), frames, window) & ~used
    full = used.sum() + new.sum() > window
    add = new & ~full
    return (
      number + 1,
      observed | (add & is_observed),
      latent | (add & ~is_observed),
      full,
    )

  nothing = jnp.zeros(frames, bool)
  first = _some(jax.random.fold_in(key, 0), frames, window)
  carry = jnp.uint32(1), nothing, first, jnp.array(False)
  _, observed, latent, _ = jax.lax.while_loop(lambda c: ~c[-1], body, carry)
  return observed, latent
