"""A video VAE that begins as a trained image VAE.

The run of the image VAE is read when that of the video VAE begins, and again,
for nothing, when it goes on after a stop: with `task.start=random` it goes on
without.
"""

import os
from typing import Any

import jax
import jax.numpy as jnp

from pseudovideo import checkpoints, errors
from pseudovideo.models.video_vae import initialisation, iv_vae

TASK = "video_vae"


def from_run(workdir: str | os.PathLike, net: iv_vae.IVVAE) -> dict[str, Any]:
  """Parameters of `net` from the averaged ones of an image VAE.

  Args:
    workdir: folder of a run of the task `video_vae` whose network is
      `initialisation.image_vae(net)`.
    net: the video VAE.

  Returns:
    As `initialisation.inflate` does.

  Raises:
    UserError: there is no such run.
  """
  _, parts, raw = checkpoints.load(workdir, parts=("ema",))
  task, branches = raw["task"]["name"], raw["model"].get("branches")
  if task != TASK or branches != "image":
    raise errors.UserError(
      f"task.start must be 'random' or the folder of a run of the task {TASK} "
      f"with model.branches='image'; {workdir} holds one of {task} with "
      f"model.branches={branches!r}."
    )
  network = initialisation.inflate(parts["ema"]["network"], net)
  return jax.tree.map(jnp.asarray, network)
