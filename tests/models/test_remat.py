"""Networks whose blocks are computed a second time for their gradient.

What is kept until the gradient comes is counted in the program that JAX gives
to the compiler. XLA:CPU merges the second computation with the first, so that
its plans for memory do not tell.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pseudovideo.models import layers, tokenizer, unet, video_unet
from pseudovideo.models.video_vae import iv_vae, tae

SLOW = pytest.mark.slow("compiles two gradients of the network")

UNET = dict(
  channels=4, multipliers=(1,), blocks=1, attention=(0,), heads=2, groups=2,
  dropout=0.5,
)  # fmt: skip
VAE = dict(
  base=2, latent_channels=2, multipliers=(1, 2), blocks=1, temporal=(True,)
)
KEYS = jax.random.split(jax.random.key(1), 2)
RNG = np.random.default_rng(0)
IMAGES, VIDEO = (
  jnp.asarray(RNG.uniform(size=shape), jnp.float32)
  for shape in ((2, 8, 8, 3), (2, 3, 8, 8, 3))
)
TIMES = jnp.array([3.0, 700.0])
WINDOW = dict(
  x0=VIDEO[:, ::-1],
  observed=jnp.array([[1.0, 0, 0], [1, 1, 0]]),
  latent=jnp.array([[0.0, 1, 1], [0, 0, 1]]),
  frame_indices=jnp.array([[0, 1, 2], [2, 3, 4]]),
)


class Block(nn.Module):
  """Residual block, which networks of images repeat."""

  remat: bool = False

  @nn.compact
  def __call__(self, x, embedding, dropout_key):
    block = layers.maybe_remat(layers.ResBlock, self.remat)
    return block(4, 2, 0.5, "additive", name="block")(x, embedding, dropout_key)


# Network, its arguments, and what else it is called with.
NETS = {
  "block": (
    Block(),
    (IMAGES[..., jnp.array([0, 1, 2, 0])], jnp.array([[1.0, 2], [3, 4]]), KEYS),
    {},
  ),
  "unet": (unet.UNet(**UNET), (IMAGES, TIMES), dict(dropout_key=KEYS)),
  "video_unet": (
    video_unet.VideoUNet(**UNET),
    (VIDEO, TIMES),
    dict(**WINDOW, dropout_key=KEYS),
  ),
  "tokenizer": (
    tokenizer.Tokenizer(
      frames=3, patch=(1, 4, 4), width=8, heads=2, head_width=4,
      spatial_layers=1, temporal_layers=1,
    ),
    (VIDEO,),
    {},
  ),
  "iv_vae": (iv_vae.IVVAE(**VAE, rates=(1,)), (VIDEO,), {}),
  "tae": (tae.TAE(**VAE), (VIDEO,), {}),
}  # fmt: skip


def loss(net, arguments, options, params):
  out = net.apply({"params": params}, *arguments, **options)
  return jnp.sum(jnp.sin(3 * out)), out


def shapes_of(name, **fields):
  """The network with these fields, how it is called, and its parameters."""
  net, arguments, options = NETS[name]
  net = net.clone(**fields)
  shapes = jax.eval_shape(net.init, jax.random.key(0), *arguments, **options)
  return functools.partial(loss, net, arguments, options), shapes["params"]


def kept_bytes(run, shapes):
  """Bytes of the arrays that the second half of `jax.vjp` closes over."""
  back = jax.eval_shape(lambda p: jax.vjp(run, p, has_aux=True)[1], shapes)
  return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(back))


@pytest.mark.parametrize("name", [name for name in NETS if name != "block"])
def test_remat_keeps_less(name):
  """The parameters themselves are kept in both cases."""
  run, shapes = shapes_of(name)
  again, shapes_again = shapes_of(name, remat=True)
  assert shapes == shapes_again
  constant = sum(4 * x.size for x in jax.tree.leaves(shapes))
  more, less = kept_bytes(run, shapes), kept_bytes(again, shapes)
  assert less - constant < (more - constant) / 3


@pytest.mark.parametrize(
  "name",
  [
    "block",
    *(pytest.param(name, marks=SLOW) for name in NETS if name != "block"),
  ],
)
def test_remat_changes_no_numbers(name):
  """Outputs and gradients are equal, those of dropout too.

  Models of tokens are compared in their own tests.
  """
  run, shapes = shapes_of(name)
  again, _ = shapes_of(name, remat=True)
  rng = np.random.default_rng(2)
  params = jax.tree.map(
    lambda x: rng.normal(scale=0.3, size=x.shape).astype(x.dtype), shapes
  )
  (out, gradient), (out_again, gradient_again) = (
    (out, gradient)
    for (_, out), gradient in (
      jax.jit(jax.value_and_grad(f, has_aux=True))(params) for f in (run, again)
    )
  )
  np.testing.assert_allclose(out_again, out, atol=1e-4)
  largest = max(np.abs(x).max() for x in jax.tree.leaves(gradient))
  assert largest > 0.1
  for ours, theirs in zip(
    jax.tree.leaves(gradient_again), jax.tree.leaves(gradient), strict=True
  ):
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5 * largest)
