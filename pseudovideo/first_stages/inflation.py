"""The image VAE that a video VAE is inflated from.

Its run is read when the video VAE's run begins. It is read again, to no effect,
when the video VAE's run resumes; with `task.start=random` it is not.
"""

import os
import pathlib
from typing import Any

import jax
import jax.numpy as jnp

from pseudovideo import errors
from pseudovideo.runs import checkpoints

TASK = "video_vae"


def image_params(workdir: str | os.PathLike) -> dict[str, Any]:
  """The averaged parameters of an image VAE's network.

  Args:
    workdir: folder of a run of the task `video_vae` whose network is
      `initialisation.image_vae(net)` or `tae.image_vae(net)` of the video VAE's
      `net`.

  Raises:
    UserError: there is no such run.
  """
  _, parts, raw = checkpoints.load(pathlib.Path(workdir), parts=("ema",))
  task, branches = raw["task"]["name"], raw["model"].get("branches")
  if task != TASK or branches != "image":
    raise errors.UserError(
      f"task.start must be 'random' or the folder of a run of the task {TASK} "
      f"with model.branches='image'; {workdir} holds one of {task} with "
      f"model.branches={branches!r}."
    )
  return jax.tree.map(jnp.asarray, parts["ema"]["network"])
