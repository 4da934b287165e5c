"""Converts weights of the published PyTorch networks to our form, and back.

  state_dict = convert.read("ema_0.9999_500000.pt")
  params = convert.to_flax(state_dict, unet.UNet(), channels=3)
  convert.write("weights.safetensors", convert.to_torch(params, unet.UNet()))

`UNet` takes the weights of improved DDPM (Nichol & Dhariwal 2021), `VideoUNet`
the weights of flexible video diffusion (Harvey et al. 2022), `IVVAE` the
weights of IV-VAE (Wu et al. 2024). PyTorch is not needed. The command is
`python -m pseudovideo.convert`; see its `--help`.

May import `models`, `files` and small things.
"""

from pseudovideo.convert.networks import to_flax, to_torch
from pseudovideo.files.state_dicts import read, write

__all__ = ["read", "to_flax", "to_torch", "write"]
