"""Diffusion in the latents of video VAEs: pseudo videos against images.

  python -m experiments run latent_diffusion --dataset=digits
  python -m experiments report latent_diffusion --dataset=digits

`run` trains the VAEs first where they are missing; they are rows of
`ivvae_ablation`, in the same folders. Neither paper has this table:
it asks of latents what the paper asks of pixels, whether the image as one frame
of a pseudo video is generated better than by itself. Beside a model's score
stands the score of its VAE's reconstructions, which no samples should beat by
much.
"""

from collections.abc import Sequence

from experiments.rows import video_vae
from experiments.rows.base import Table
from experiments.running import commands

TABLE = Table(
  "latent_diffusion",
  "Diffusion in latents of images and of pseudo videos",
  video_vae.FAMILY,
  video_vae.LATENTS,
)


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return commands.table_main(TABLE, __doc__, argv)
