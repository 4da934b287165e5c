"""Everything that is compiled for a config, traced for its shapes alone.

Nothing is computed. What a task takes from a file or from images is replaced by
its shapes: the weights of first stages, the scale of latents, and what the heat
HVAE keeps of training images.
"""

from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np

from pseudovideo import optimizers, pixels
from pseudovideo.devices import sharding
from pseudovideo.samplers import hvae_start
from pseudovideo.tasks import base, first_stage, token_prior
from pseudovideo.training import state, steps

NUM_IMAGES = 6


def _fit(images, coefficients, modes):
  """In the place of `heat.fit`: its shapes."""
  keys = jax.random.split(jax.random.key(0), len(images))
  shape = jax.eval_shape(coefficients, images, keys).shape
  size = len(modes) * shape[-1]
  return {
    "start_mean": jnp.zeros(shape[1:]),
    "start_std": jnp.zeros(shape[1:]),
    "start_modes": jnp.zeros((len(images), size)),
  }


def _given(task, key):
  """Fresh weights in the place of a first stage's."""
  found = {}
  for kind in first_stage.KINDS.values():
    if kind.section in base.needs(task):
      found[kind.section] = kind.frozen(*task.coder.init(key, None))
  if first_stage.AUTOENCODER.section in found:
    found["scaling"] = {"scale": 1.0, "shift": 0.0}
  return found


class _Images:
  """As much of an `ImageSet` as the initial state depends on."""

  def __init__(self, task):
    self.train_images = np.zeros((NUM_IMAGES, *task.image_shape), np.uint8)
    self.image_shape = task.image_shape


def _batch(task, num):
  """The arrays of a training batch of `num` examples."""
  if isinstance(task, token_prior.TokenPrior):
    shape, dtype = task.coder.grid_shape, jnp.int32
    name = token_prior.IDS
  else:
    shape, dtype, name = task.image_shape, jnp.uint8, "image"
  arrays = {name: jax.ShapeDtypeStruct((num, *shape), dtype)}
  return arrays | {"index": jax.ShapeDtypeStruct((num,), jnp.int32)}


def _keys(num):
  return jax.eval_shape(lambda: jax.random.split(jax.random.key(0), num))


def optimizer(config, task):
  """As `training.loop.Loop` makes it, after its checks.

  Raises:
    UserError: a batch that cannot be cut, or a warm-up that does not fit.
  """
  train = config.train
  sharding.check_batch_size(
    "train.batch_size / train.accumulate",
    train.batch_size // train.accumulate,
    sharding.make_mesh(),
  )
  return optimizers.for_players(
    config.optimizer, train.steps, base.discriminator_optimizer(task)
  )


def trace(config, task, tx):
  """Traces what training and sampling compile; asserts shapes and types.

  Args:
    config: parsed.
    task: its task.
    tx: of `optimizer`.
  """
  with mock.patch.object(hvae_start, "fit", _fit):
    _trace(config, task, tx)


def _trace(config, task, tx):
  scalar = jax.eval_shape(lambda: jax.random.key(0))

  def initial(key):
    params, extra = task.init(key, _Images(task), **_given(task, key))
    return state.create(params, extra, tx)

  fresh = jax.eval_shape(initial, scalar)
  assert all(
    leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(fresh.params)
  )
  train = config.train
  step = steps.make_step(
    task,
    tx,
    ema_decay=config.optimizer.ema_decay,
    ema_warmup=config.optimizer.ema_warmup,
    accumulate=train.accumulate,
  )
  after, metrics = jax.eval_shape(
    step, fresh, _batch(task, train.batch_size), scalar
  )
  assert _shapes(after) == _shapes(fresh)
  _assert_pairs(metrics)
  num = train.batch_size // train.accumulate
  batch = _batch(task, num) | {"mask": jax.ShapeDtypeStruct((num,), "float32")}
  evaluate = steps.make_eval_step(task)
  _assert_pairs(
    jax.eval_shape(evaluate, fresh.ema, fresh.extra, batch, _keys(num))
  )
  _trace_videos(task, fresh)


def _assert_pairs(metrics):
  assert "loss" in metrics
  assert {(leaf.shape, leaf.dtype.name) for leaf in metrics.values()} == {
    ((2,), "float32")
  }


def _trace_videos(task, fresh, num=3):
  """Samples and pseudo videos have the images' size, and as many frames."""
  images = jax.ShapeDtypeStruct((num, *task.image_shape), jnp.uint8)
  params, extra, rows = fresh.ema, fresh.extra, _keys(num)

  def made(params, extra, key):
    if base.is_autoencoder(task):
      raise AssertionError
    video = task.sample(params, extra, key=key, num=num)
    return pixels.quantize(video, task.value_range).images

  def reconstructed(params, extra, images, key):
    video = task.reconstruct(params, extra, images, key=key)
    return pixels.quantize(video, task.value_range).images

  if base.is_autoencoder(task):
    video = jax.eval_shape(reconstructed, params, extra, images, rows)
  else:
    video = jax.eval_shape(made, params, extra, rows)
  wanted = (num, frames(task), *task.image_shape)
  assert (video.shape, video.dtype) == (wanted, jnp.uint8)
  pseudo = jax.eval_shape(
    lambda *a, key: task.pseudo_video(*a, key=key),
    *(params, extra, images),
    key=rows,
  )
  assert (pseudo.shape, pseudo.dtype) == (wanted, jnp.float32)
  assert task.network_evaluations >= 1


def frames(task) -> int:
  """How many the config promises."""
  task = getattr(task, "coder", task)
  if hasattr(task, "levels"):
    return task.levels + 1
  return getattr(getattr(task, "augmentation", None), "frames", 1)


def _shapes(tree):
  return jax.tree.map(lambda x: (x.shape, x.dtype), tree)
