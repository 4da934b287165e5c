"""The tasks by name, and the sections of a config that they take."""

from pseudovideo.tasks import (
  heat_hvae,
  image_diffusion,
  latent_diffusion,
  learned_hvae,
  masked_token,
  next_token,
  video_diffusion,
  video_tae,
  video_tokenizer,
  video_vae,
)

TABLE = {
  "heat_hvae": heat_hvae.HeatHVAE,
  "learned_hvae": learned_hvae.LearnedHVAE,
  "image_diffusion": image_diffusion.ImageDiffusion,
  "video_diffusion": video_diffusion.VideoDiffusion,
  "latent_diffusion": latent_diffusion.LatentDiffusion,
  "video_tokenizer": video_tokenizer.VideoTokenizer,
  "video_vae": video_vae.VideoVAE,
  "video_tae": video_tae.VideoTAE,
  "next_token": next_token.NextToken,
  "masked_token": masked_token.MaskedToken,
}

# Task fields that are sections of the config: networks and dataclasses.
SECTIONS = (
  "model",
  "encoder",
  "augmentation",
  "quantizer",
  "discriminator",
  "discriminator_optimizer",
  "tokenizer",
  "autoencoder",
  "masking",
  "process",
  "sampler",
)
