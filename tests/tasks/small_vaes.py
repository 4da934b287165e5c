"""Video VAEs that compile in seconds, for 8x8 images; frozen toy features."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from configs import video_vae as configs
from pseudovideo import augmentations, optimizers
from pseudovideo.config import comparing, parsing
from pseudovideo.models import video_discriminator
from pseudovideo.models.video_vae import initialisation, iv_vae
from pseudovideo.pretrained import perceptual_features
from pseudovideo.runs import checkpoints
from pseudovideo.tasks import video_vae

NET = iv_vae.IVVAE(
  base=4, latent_channels=4, image_channels=1, multipliers=(1, 2), blocks=1,
  temporal=(True,), attention=(), rates=(),
)  # fmt: skip
CLIPS = video_vae.VideoVAE(
  image_shape=(8, 8, 1),
  augmentation=augmentations.make("blur", frames=3, rate=0.5),
  model=NET,
  discriminator=video_discriminator.VideoDiscriminator(
    width=4, max_width=6, layers=2
  ),
  discriminator_optimizer=optimizers.AdamConfig(),
  kl_weight=0.3,
  adversarial=True,
  adversarial_weight=0.7,
  most_adaptive=1e4,
)


def changed(task=CLIPS, **fields):
  """The task with other fields."""
  return dataclasses.replace(task, **fields)


FORWARD = changed(order="forward")
# Features that are linear: FEATURES of them, of all pixels.
MIXED = changed(perceptual="toy", perceptual_weight=0.2)
IMAGES = changed(
  augmentation=augmentations.make("identity", frames=1),
  model=initialisation.image_vae(NET),
  image_share=0.0,
  adversarial_from=3,
)


def toy_features():
  """The entry of `perceptual_features.FEATURES` of the name `toy`."""
  weights = np.random.default_rng(3).normal(size=(64, 5)).astype(np.float32)

  def forward(params, images):
    return jnp.dot(images.reshape(len(images), -1), params["weights"])

  made = perceptual_features.Features("toy", {"weights": weights}, forward, {})
  return (lambda image_set, binarize: made), forward


def fresh(task):
  """Parameters away from zeros and ones, so that all of them matter."""
  rng = np.random.default_rng(1)
  shapes, _ = jax.eval_shape(
    lambda key: changed(task, perceptual="none").init(key, None),
    jax.random.key(0),
  )

  def drawn(path, leaf):
    noise = rng.normal(size=leaf.shape).astype(np.float32)
    if path[-1].key == "kernel":
      return noise / np.sqrt(np.prod(leaf.shape[:-1]))
    return 0.3 * noise + (path[-1].key == "scale")

  params = jax.tree_util.tree_map_with_path(drawn, shapes)
  if task.perceptual == "none":
    return params, {}
  frozen = perceptual_features.load(task.perceptual, None)
  return params, {"frozen": {"perceptual": frozen.params}}


def save_run(workdir, frames):
  """Writes a run of the image VAE (1 frame) or of a video VAE of digits.

  Its weights were drawn, so that all of them matter; latents are far from
  standard, and their means say most of them. They are (1, 4, 4, 2), or for
  5 frames (3, 4, 4, 4).

  Returns:
    `workdir`.
  """
  moves = frames > 1
  network = "key_motion" if moves else "image"
  raw = parsing.complete(
    configs.get_config(f"frames={frames},network={network},preset=tiny")
  )
  raw["model"] |= dict(
    multipliers=(1, 2),
    temporal=(moves,),
    attention=() if moves else ("middle",),
    rates=(),
    latent_channels=4 if moves else 2,
  )
  task = parsing.parse(raw).make_task((8, 8, 1))
  params, extra = fresh(task)
  for layer in params["network"]["moments"].values():
    half = len(layer["bias"]) // 2
    layer["kernel"][:, :half] *= 4
    layer["bias"][:half] += 1
    layer["bias"][half:] -= 3
  store = checkpoints.Checkpoints(workdir / checkpoints.FOLDER)
  parts = {"ema": params, "extra": extra}
  store.save(1, parts, config=comparing.to_json(raw), wait=True)
  store.close()
  return workdir
