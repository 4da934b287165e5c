"""One update, as a pure function of (state, batch, key).

The function sees the whole batch ("global view"). Under `jax.jit` with the
batch sharded over a mesh the compiler splits the work and sums the gradients;
`tests/training/test_steps.py` shows that the result equals a hand-written
`jax.pmap` step with `pmean`.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from pseudovideo import keys
from pseudovideo.tasks import base
from pseudovideo.training import state

Metrics = dict[str, jax.Array]
Sums = dict[str, tuple[float, float]]
"""Term -> sum of value * weight, sum of weight."""
Step = Callable[[state.TrainState, base.Batch, jax.Array], Any]


def reduce_terms(terms: base.Terms) -> tuple[jax.Array, Metrics]:
  """The loss, and per term the pair (sum of value * weight, sum of weight).

  Returns:
    The scalar loss: the sum over terms of coefficient * sum(v w) / sum(w),
    and {name: (2,) array}; `means` turns (summed) pairs into means.
  """
  loss, sums = jnp.float32(0), {}
  for name, (value, weight, coefficient) in terms.items():
    # No dot product, which a TPU would compute in bfloat16.
    pair = jnp.stack([jnp.sum(value * weight), jnp.sum(weight)])
    sums[name] = jax.lax.stop_gradient(pair)
    if isinstance(coefficient, jax.Array) or coefficient != 0:
      loss += coefficient * pair[0] / jnp.maximum(pair[1], 1e-12)
  return loss, sums


def added(sums: Sums, pairs: Mapping[str, Any]) -> Sums:
  """The sums over some batches and one more.

  Args:
    sums: empty before the first batch.
    pairs: {name: (2,) array} as a step returns them, on the host.
  """
  found = dict(sums)
  for name, (total, weight) in pairs.items():
    before = found.get(name, (0.0, 0.0))
    found[name] = (before[0] + float(total), before[1] + float(weight))
  return found


def means(sums: Sums) -> dict[str, float]:
  """The mean of every term; terms without weight drop out."""
  return {
    name: total / weight for name, (total, weight) in sums.items() if weight > 0
  }


def make_step(
  task: base.Task,
  tx: optax.GradientTransformation,
  *,
  ema_decay: float,
  ema_warmup: bool = False,
  accumulate: int = 1,
  skip_bad: bool = False,
) -> Step:
  """Builds the update of a task.

  Args:
    task: gives the loss.
    tx: the optimizer.
    ema_decay: decay of the moving average of the parameters.
    ema_warmup: see `optimizers.OptimizerConfig`.
    accumulate: number of equal micro-batches whose gradients are averaged; with
      equal weights of terms the result equals the whole batch's.
    skip_bad: whether a step whose loss, gradient or updated parameters are not
      finite changes nothing but the step number.

  Returns:
    step(state, batch, key) -> (state, metrics): `key` is the run's scalar key,
    from which the keys of this step's examples are derived; metrics are
    (sum, weight) pairs of every term, of `loss` and of `grad_norm`, and with
    `skip_bad` of `skipped`, which is 1 for a step that was left out; the
    others have no weight then.
  """

  def loss_fn(params, extra, batch, example_keys, step):
    terms, extra = task.loss(
      params, extra, batch, key=example_keys, step=step, train=True
    )
    loss, sums = reduce_terms(terms)
    return loss, (sums, extra)

  gradient = jax.value_and_grad(loss_fn, has_aux=True)

  def step(train_state, batch, key):
    num = jax.tree.leaves(batch)[0].shape[0]
    rows = keys.example_keys(keys.numbered(key, train_state.step), num)
    if accumulate == 1:
      (loss, (sums, extra)), grads = gradient(
        train_state.params, train_state.extra, batch, rows, train_state.step
      )
    else:
      loss, sums, extra, grads = _accumulated(
        gradient, train_state, batch, rows, accumulate
      )
    decay = jnp.float32(ema_decay)
    if ema_warmup:
      done = train_state.step + 1
      decay = jnp.minimum(decay, (1 + done) / (10 + done))
    updated = _updated(train_state, tx, grads, extra, decay)
    sums["loss"] = jnp.stack([loss, jnp.float32(1)])
    sums["grad_norm"] = jnp.stack([optax.tree.norm(grads), jnp.float32(1)])
    return _if_good(updated, train_state, sums) if skip_bad else (updated, sums)

  return step


def _updated(
  before: state.TrainState,
  tx: optax.GradientTransformation,
  grads: Any,
  extra: Any,
  decay: jax.Array,
) -> state.TrainState:
  """The state after an update by `grads`; the average decays by `decay`."""
  updates, opt_state = tx.update(grads, before.opt_state, before.params)
  params = optax.apply_updates(before.params, updates)
  ema = jax.tree.map(lambda a, p: a + (1 - decay) * (p - a), before.ema, params)
  return state.TrainState(before.step + 1, params, ema, opt_state, extra)


def _if_good(
  updated: state.TrainState, before: state.TrainState, sums: Metrics
) -> tuple[state.TrainState, Metrics]:
  """The updated state, or the state as it was, one step further."""
  looked_at = [
    sums["loss"][0],
    sums["grad_norm"][0],
    optax.tree.norm(updated.params),
  ]
  good = jnp.all(jnp.isfinite(jnp.stack(looked_at)))
  kept = jax.tree.map(
    lambda new, old: jnp.where(good, new, old), updated, before
  )
  kept = dataclasses.replace(kept, step=updated.step)
  sums = {name: jnp.where(good, pair, 0) for name, pair in sums.items()}
  skipped = jnp.stack([1 - good.astype(jnp.float32), jnp.float32(1)])
  return kept, sums | {"skipped": skipped}


def _accumulated(gradient, train_state, batch, rows, accumulate):
  """Loss, term sums, extra and mean gradient over the micro-batches."""
  params, step = train_state.params, train_state.step

  # Strided, so that every micro-batch is spread over all devices.
  def cut(x):
    return jnp.moveaxis(x.reshape(-1, accumulate, *x.shape[1:]), 1, 0)

  def body(extra, part):
    (loss, (sums, extra)), grads = gradient(params, extra, *part, step)
    return extra, (loss, sums, grads)

  # XLA:CPU is 15-30 times slower at gradients of convolutions inside a loop.
  on_cpu = jax.default_backend() == "cpu"
  extra, (losses, sums, grads) = jax.lax.scan(
    body,
    train_state.extra,
    jax.tree.map(cut, (batch, rows)),
    unroll=accumulate if on_cpu else 1,
  )
  mean = jax.tree.map(lambda g: jnp.mean(g, axis=0), grads)
  total = jax.tree.map(lambda s: jnp.sum(s, axis=0), sums)
  return jnp.mean(losses), total, extra, mean


def make_eval_step(task: base.Task) -> Callable[..., Metrics]:
  """Builds eval_step(params, extra, batch, key) -> {term: (sum, weight)}.

  `batch["mask"]`, (B,), is 0 for padding. `loss` is the sum of the terms'
  means with their coefficients of the end of training, without any warm-up.
  """

  def eval_step(params, extra, batch, key):
    batch = dict(batch)
    mask = batch.pop("mask")
    terms, _ = task.loss(
      params,
      extra,
      batch,
      key=key,
      step=jnp.int32(2**30),
      train=False,
    )
    masked = {
      name: term._replace(weight=term.weight * mask)
      for name, term in terms.items()
    }
    loss, sums = reduce_terms(masked)
    sums["loss"] = jnp.stack([loss * jnp.sum(mask), jnp.sum(mask)])
    return sums

  return eval_step
