import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import traced
from configs import hvae, latent_diffusion, token_prior, tokenizer, video_vae
from pseudovideo import errors
from pseudovideo.devices import sharding
from pseudovideo.tasks import base
from pseudovideo.training import state


class Layers:
  """The loss of `depth` layers sin(x @ w), of which each keeps two arrays."""

  image_shape = (4, 1, 2)

  def __init__(self, depth, remat):
    self.depth, self.remat = depth, remat

  def loss(self, params, extra, batch, *, key, step, train):
    del key, step, train
    x = batch["image"].reshape(-1, 8).astype(jnp.float32)

    def layer(x, w):
      return jnp.sin(x @ w)

    for w in params:
      x = (jax.checkpoint(layer) if self.remat else layer)(x, w)
    return {"loss": base.mean_term(jnp.sum(x, axis=1), 1.0)}, extra


def toy(depth, remat):
  params = [jax.ShapeDtypeStruct((8, 8), jnp.float32)] * depth
  step = jax.ShapeDtypeStruct((), jnp.int32)
  fresh = state.TrainState(step, params, params, (), {})
  return traced.Training(Layers(depth, remat), None, fresh, 4)


def test_what_a_loss_keeps_is_counted():
  """A layer keeps its cosine, and its input for the weights' gradient.

  The pixels are those of the batch in another type. The example's weight in
  the mean is one number more.
  """
  for depth in (1, 2, 5):
    kept = traced.kept(toy(depth, remat=False))
    assert kept.per_example == 4 * (8 * depth + 8 * depth + 1)


def test_what_is_computed_again_is_counted_once():
  """Inputs of all layers, the cosine of one, and the weight in the mean."""
  for depth in (1, 2, 5):
    kept = traced.kept(toy(depth, remat=True))
    assert kept.per_example == 4 * (8 * depth + 8 + 1)


def test_bytes_of_a_state_are_those_on_a_device():
  """They are those of the arrays that `sharding.put` makes of a state."""
  run = traced.training(hvae.get_config("preset=tiny"))
  zeros = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), run.state)
  mesh = sharding.make_mesh()
  for fsdp in (False, True):
    places = state.of_state(run.state, mesh, fsdp=fsdp)
    put = sharding.put(zeros, places)
    found = traced.state_bytes(run.state, traced.mesh_of(mesh.size), fsdp=fsdp)
    for name in ("step", "params", "ema", "opt_state", "extra"):
      there = sum(
        x.addressable_shards[0].data.nbytes
        for x in jax.tree.leaves(getattr(put, name))
      )
      assert found[name] == there
    assert found["gradients"] == found["params"]


@pytest.mark.parametrize(
  ("file", "argument", "coder", "frames"),
  [
    (hvae, "encoder=learned", None, ""),
    (token_prior, "order=next", tokenizer, "frames=8"),
    (latent_diffusion, "", video_vae, "frames=5,network=key_motion"),
  ],
)
def test_an_update_takes_the_state_and_the_batch(file, argument, coder, frames):
  """The state is one that an update maps to another of its shapes."""
  raw = file.get_config(f"{argument},preset=tiny")
  run = traced.training(
    raw, coder and coder.get_config(f"{frames},preset=tiny")
  )
  examples = traced.batch(run.task, run.batch_size)
  after, sums = jax.eval_shape(
    run.step, run.state, examples, traced.key_shape()
  )
  assert jax.tree.map(_kind, after) == jax.tree.map(_kind, run.state)
  assert sums["loss"].shape == (2,)
  assert run.batch_size == raw.train.batch_size


def _kind(x):
  return x.shape, x.dtype


def test_scans_of_an_accelerator_are_meant():
  run = traced.training(hvae.get_config("encoder=learned,preset=tiny"))
  assert run.task.scan == "remat"


def test_what_is_not_known_is_refused():
  with pytest.raises(errors.UserError, match="data set"):
    traced.training(hvae.get_config("dataset=folder:x,preset=tiny"))
  with pytest.raises(errors.UserError, match="names a tokenizer"):
    traced.training(token_prior.get_config("preset=tiny"))
