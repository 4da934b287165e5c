"""Tiny networks for the tests, their parameters, and their compiled methods.

Compilation is nearly all of the time, so that everything is kept and shared.
"""

import functools

import jax
import numpy as np

from pseudovideo.models.video_vae import cache, initialisation, iv_vae
from tests.models import parameters

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
  "baseline": BASELINE.clone(multipliers=(1, 2), temporal=(True,)),
  "by two": BY_TWO,
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
  """Drawn parameters."""
  return parameters.drawn(NETS[name].init, clip(1, 1))


def latents(name, frames):
  """Latents of two clips, float32."""
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


# Of whole networks: float32 rounds by 6e-8 at each of some 500 sums in a row,
# those of twenty convolutions over 27 numbers or more.
CLOSE = 3e-5


def relative_error(ours, expected):
  return np.abs(np.asarray(ours) - expected).max() / np.abs(expected).max()
