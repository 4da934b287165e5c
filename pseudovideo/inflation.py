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
from pseudovideo.models.video_vae import initialisation, iv_vae, tae

TASK = "video_vae"


def from_run(
  workdir: str | os.PathLike, net: iv_vae.IVVAE | tae.TAE, key: jax.Array
) -> dict[str, Any]:
  """Parameters of `net` from the averaged ones of an image VAE.

  Args:
    workdir: folder of a run of the task `video_vae` whose network is
      `initialisation.image_vae(net)` or `tae.image_vae(net)`.
    net: the video VAE.
    key: of what no image VAE has, a TAE's attention over time.

  Returns:
    As `initialisation.inflate` or `tae.inflate` does.

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
  image_params = parts["ema"]["network"]
  if isinstance(net, tae.TAE):
    side = net.spatial_factor
    image = jnp.zeros((1, 1, side, side, net.image_channels))
    fresh = jax.jit(net.init)(key, image)["params"]
    network = tae.inflate(image_params, fresh)
  else:
    network = initialisation.inflate(image_params, net)
  return jax.tree.map(jnp.asarray, network)
