"""Our side of a training step: training's own update of any loss."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from pseudovideo import shapes
from pseudovideo.tasks import base
from pseudovideo.training import state, steps

Loss = Callable[[Any, dict[str, Any]], jax.Array]


class OfLoss:
  """A task for `Updates` whose loss is a function of parameters and a batch."""

  def __init__(self, loss: Loss):
    self._loss = loss

  def loss(self, params, extra, batch, *, key, step, train):
    """One term, the loss, whatever the key."""
    del key, step, train
    num = jax.tree.leaves(batch)[0].shape[0]
    value = jnp.broadcast_to(self._loss(params, batch), (num,))
    return {"loss": base.mean_term(value, 1)}, extra


class Updates:
  """Updates parameters whenever it is called; returns the loss before.

  Attributes:
    parameters: their number.
  """

  def __init__(
    self,
    task: Any,
    params: Any,
    batch: dict[str, Any],
    tx: optax.GradientTransformation,
    *,
    ema_decay: float,
    extra: Any = None,
  ):
    """Puts everything on the device.

    Args:
      task: has `loss`, see `base.Task`.
      params: parameters.
      batch: arguments of the loss.
      tx: the optimizer.
      ema_decay: decay of the moving average.
      extra: the task's state; None: it has none.
    """
    self.parameters = shapes.count_parameters(params)
    params, extra = jax.device_put((params, extra or {}))
    self._state = state.create(params, extra, tx)
    self._batch = jax.device_put(batch)
    self._key = jax.random.key(0)
    self._step = jax.jit(
      steps.make_step(task, tx, ema_decay=ema_decay), donate_argnums=0
    )

  def __call__(self) -> float:
    self._state, metrics = self._step(self._state, self._batch, self._key)
    jax.block_until_ready(self._state)
    return float(metrics["loss"][0])
