"""Rows of the video VAEs: IV-VAE, its baselines, and diffusion in its latents.

The ablation goes from the causal baseline to IV-VAE part by part: group causal
convolution, key and motion branch (keyframe-based temporal compression), then
attention and dilated convolutions wherever the published code has them. Each
begins as a trained image VAE, one for every kind of layers, as in the paper.
Ours beside it: IV-VAE without such a beginning.

`small` has 5 frames and a budget for two processor cores: `IMAGES` updates of
an image VAE, then `CLIPS` of the video VAE; `DENOISER` of a model of latents,
which has half the width of its config. The paper's ablation has 17 frames,
200,000 and 300,000 updates, and so has the preset `paper`. Numbers of latent
channels are the ones of these two; `tiny` has half of them.

Neither paper has diffusion of pseudo videos in latents: those rows are ours.
Beside it stands a diffusion of images, in the latents of the image VAE that
IV-VAE begins as, which has half of its latent channels.
"""

from configs import latent_diffusion, video_vae
from experiments.rows.base import Overrides, Row, scaled

FAMILY = "video_vae"

# PSNR of Kinetics-600 by IV-VAE (Wu et al. 2024), Table 1, by latent channels.
CAUSAL_PSNR = {4: 33.77, 8: 36.08, 16: 38.07}
IV_VAE_PSNR = {4: 34.29, 8: 36.66, 16: 39.02}

WORDS = {
  "Z": "number of latent channels",
  "plain": "without attention and dilated convolutions outside the middle",
  "wider": "1.5 times the channels",
  "not inflated": "trained from random weights, not from an image VAE",
}

IMAGES, CLIPS, DENOISER = 600, 200, 500
SCORED = {"evaluate.num_samples": 1000}
# Of configs/video_vae.py, there with --config=...:frames=17.
_LONG = {"augmentation.frames": 17, "augmentation.rate": 0.01}
_NO_GAN = {"task.adversarial": False, "task.adversarial_from": 0}
_PLAIN = {"model.attention": ("middle",), "model.rates": ()}


def _image(name: str, label: str, overrides: Overrides) -> Row:
  return Row(
    f"image_{name}",
    f"image VAE, {label}",
    video_vae,
    {"network": "image", "frames": 1},
    overrides=overrides,
    by_preset={
      "small": {"train.steps": IMAGES, "train.batch_size": 32, **SCORED},
      "paper": {"train.steps": 200_000, **_NO_GAN},
    },
    is_control=True,
  )


def _video(name: str, label: str, start: Row | None, **fields: object) -> Row:
  network = fields.pop("network", name)
  return Row(
    name,
    label,
    video_vae,
    {"network": network, "frames": 5},
    by_preset={"small": {"train.steps": CLIPS, **SCORED}, "paper": _LONG},
    start=start,
    **fields,
  )


def _channels(factor: float) -> Overrides:
  """Other numbers of latent channels than 8, of an image VAE 4."""
  return {"model.latent_channels": scaled(factor)} if factor != 1 else {}


# An image VAE has as many latent channels as one branch of its video VAE.
IMAGE_PLAIN = {
  z: _image(
    f"plain_{z}",
    f"Z = {z}, plain",
    _PLAIN | _channels(z / 4),
  )
  for z in (4, 8, 16)
}
IMAGE = {z: _image(str(z), f"Z = {z}", _channels(z / 4)) for z in (2, 4, 8)}
WIDER = {"model.base": scaled(1.5)}
IMAGE_WIDER = _image("wider_4", "Z = 4, wider", WIDER)

CAUSAL = {
  z: _video(
    "causal" if z == 8 else f"causal_{z}",
    f"causal, Z = {z}",
    IMAGE_PLAIN[z],
    network="causal",
    overrides=_channels(z / 8),
    paper={"kinetics": CAUSAL_PSNR[z]},
  )
  for z in (4, 8, 16)
}
GROUP_CAUSAL = _video("group_causal", "group causal, Z = 8", IMAGE_PLAIN[8])
KEY_MOTION = _video(
  "key_motion", "key and motion branch, Z = 8", IMAGE_PLAIN[4]
)
IV_VAE = {
  z: _video(
    "iv_vae" if z == 8 else f"iv_vae_{z}",
    f"IV-VAE, Z = {z}",
    IMAGE[z // 2],
    network="iv_vae",
    overrides=_channels(z / 8),
    paper={"kinetics": IV_VAE_PSNR[z]},
  )
  for z in (4, 8, 16)
}
MOTION_MOTION = _video("motion_motion", "IV-VAE, two motion branches", IMAGE[4])
IV_VAE_WIDER = _video(
  "iv_vae_wider",
  "IV-VAE, wider",
  IMAGE_WIDER,
  network="iv_vae",
  overrides=WIDER,
)
SCRATCH = _video(
  "iv_vae_scratch",
  "IV-VAE, not inflated",
  None,
  network="iv_vae",
  is_control=True,
)

INFLATED = (
  CAUSAL[8],
  GROUP_CAUSAL,
  KEY_MOTION,
  IV_VAE[8],
  MOTION_MOTION,
  CAUSAL[4],
  CAUSAL[16],
  IV_VAE[4],
  IV_VAE[16],
  IV_VAE_WIDER,
)
ABLATION = (
  *INFLATED,
  SCRATCH,
  *IMAGE_PLAIN.values(),
  *IMAGE.values(),
  IMAGE_WIDER,
)


def _latents(autoencoder: Row, label: str, **fields: object) -> Row:
  return Row(
    f"latents_of_{autoencoder.name}",
    label,
    latent_diffusion,
    by_preset={
      "small": {
        "model.channels": 32,
        "optimizer.learning_rate": 1e-3,
        "optimizer.warmup_steps": 50,
        "train.steps": DENOISER,
        "train.batch_size": 32,
        **SCORED,
      }
    },
    first_stage=autoencoder,
    is_control=True,
    **fields,
  )


LATENT_IMAGES = _latents(IMAGE[4], "1 frame, image VAE")
LATENT_VIDEOS = _latents(IV_VAE[8], "5 frames, IV-VAE")
LATENT_CAUSAL = _latents(CAUSAL[8], "5 frames, causal VAE")
LATENTS = (LATENT_IMAGES, LATENT_VIDEOS, LATENT_CAUSAL)
