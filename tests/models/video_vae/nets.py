"""Tiny networks for the tests, their parameters, and their compiled methods.

Compilation is nearly all of the time, so that everything is kept and shared.
"""

import functools

import jax
import numpy as np

from pseudovideo.models.video_vae import cache, initialisation, iv_vae

SIDE = 16
IV = iv_vae.IVVAE(
  base=4, latent_channels=4, image_channels=2, multipliers=(1, 2, 2), blocks=1,
  temporal=(True, True), rates=(1, 3),
)  # fmt: skip
LEAN = IV.clone(attention=(), rates=())
BASELINE = LEAN.clone(
  branches="motion", convolution="causal", latent_channels=2
)
BY_TWO = LEAN.clone(multipliers=(1, 2), temporal=(True,))
NETS = {
  "iv": IV,
  "lean": LEAN,
  "baseline": BASELINE,
  "by two": BY_TWO,
  "causal branches": BY_TWO.clone(convolution="causal"),
  "motion twice": BY_TWO.clone(branches="motion_motion"),
  "one branch": BY_TWO.clone(branches="motion", latent_channels=2),
  "image": initialisation.image_vae(IV),
  "lean image": initialisation.image_vae(LEAN),
  "shallow image": initialisation.image_vae(BY_TWO),
}


def clip(frames, num=2, seed=0):
  """(num, frames, SIDE, SIDE, 2) in [-1, 1], float32."""
  rng = np.random.default_rng(seed)
  return rng.uniform(-1, 1, (num, frames, SIDE, SIDE, 2)).astype(np.float32)


@functools.cache
def params(name):
  """Parameters away from zeros and ones, so that all of them matter."""
  rng = np.random.default_rng(1)
  shapes = jax.eval_shape(NETS[name].init, jax.random.key(0), clip(1, 1))

  def drawn(path, leaf):
    noise = rng.normal(size=leaf.shape).astype(np.float32)
    if path[-1].key == "kernel":
      return noise / np.sqrt(np.prod(leaf.shape[:-1]))
    return 0.3 * noise + (path[-1].key == "scale")

  return jax.tree_util.tree_map_with_path(drawn, shapes["params"])


def latents(name, frames):
  """Of two clips, float32."""
  shape = NETS[name].latent_shape((frames, SIDE, SIDE))
  return np.random.default_rng(2).normal(size=(2, *shape)).astype(np.float32)


@functools.cache
def encode(name):
  """(params, chunk, cache) -> (means, log-variances), cache."""
  return jax.jit(functools.partial(cache.encode, NETS[name]))


@functools.cache
def decode(name):
  """(params, chunk of latents, cache) -> frames, cache."""
  return jax.jit(functools.partial(cache.decode, NETS[name]))


def float64(tree):
  return jax.tree.map(lambda p: np.asarray(p, np.float64), tree)


def relative_error(ours, expected):
  return np.abs(np.asarray(ours) - expected).max() / np.abs(expected).max()
