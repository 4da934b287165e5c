"""Draws the steps k of a batch in training.

Steps are drawn uniformly, or in proportion to the root of the mean square of
the last losses at each step (Nichol & Dhariwal 2021, Sec. 3.3), with a weight
per example that keeps the mean loss unbiased. The latter draw has a state, a
dict of arrays that is saved with the run; its functions are pure.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Float32, Int32

from pseudovideo import keys

HISTORY = 10
UNIFORM_PROBABILITY = 0.001

State = dict[str, Float32[Array, "K 10"] | Int32[Array, " K"]]


def draw_uniform(
  key: keys.Keys, num: int, steps: int
) -> tuple[Int32[Array, " B"], Float32[Array, " B"]]:
  """Draws every step equally often.

  Args:
    key: scalar or (num,) keys.
    num: B.
    steps: K.

  Returns:
    Steps k in 0 .. K - 1, and weights that are all 1.
  """
  k = keys.integers(key, num, 0, steps).astype(jnp.int32)
  return k, jnp.ones((num,), jnp.float32)


def init(steps: int) -> State:
  """A state without losses: `losses`, and `counts`, their number per step."""
  return {
    "losses": jnp.zeros((steps, HISTORY), jnp.float32),
    "counts": jnp.zeros((steps,), jnp.int32),
  }


def probabilities(state: State) -> Float32[Array, " K"]:
  """The probability of each step.

  It is uniform until every step has 10 losses. Then it is a mixture: 0.001 of
  the uniform probability, and the rest in proportion to sqrt(mean of L_k^2)
  (Eq. 18).
  """
  steps = len(state["counts"])
  root = jnp.sqrt(jnp.mean(jnp.square(state["losses"]), axis=1))
  total = root.sum()
  ready = jnp.all(state["counts"] == HISTORY) & (total > 0)
  share = root / jnp.where(ready, total, 1.0)
  mixed = (1 - UNIFORM_PROBABILITY) * share + UNIFORM_PROBABILITY / steps
  return jnp.where(ready, mixed, 1 / steps)


def draw(
  key: keys.Keys, num: int, state: State
) -> tuple[Int32[Array, " B"], Float32[Array, " B"]]:
  """Draws steps by their losses.

  Args:
    key: scalar or (num,) keys.
    num: B.
    state: state of K steps.

  Returns:
    Steps k in 0 .. K - 1, and the importance weights 1 / (K p_k).
  """
  p = probabilities(state)
  logits = jnp.log(p)
  rows = keys.example_keys(key, num)
  k = jax.vmap(lambda row: jax.random.categorical(row, logits))(rows)
  return k.astype(jnp.int32), 1 / (len(p) * p[k])


def update(
  state: State, k: Int32[Array, " B"], losses: Float[Array, " B"]
) -> State:
  """Appends the losses of a batch, in order; a full history drops its oldest.

  Args:
    state: state of K steps.
    k: steps; one may occur several times.
    losses: unweighted loss of each example.

  Returns:
    The new state.
  """

  def append(state, pair):
    k, loss = pair
    count = state["counts"][k]
    row = state["losses"][k]
    row = jnp.where(count == HISTORY, jnp.roll(row, -1), row)
    row = row.at[jnp.minimum(count, HISTORY - 1)].set(loss)
    return {
      "losses": state["losses"].at[k].set(row),
      "counts": state["counts"].at[k].set(jnp.minimum(count + 1, HISTORY)),
    }, None

  losses = jax.lax.stop_gradient(losses).astype(jnp.float32)
  return jax.lax.scan(append, state, (k, losses))[0]
