"""Scores of a codec's reconstructions of clips of real videos.

They are PSNR and SSIM over all clips and frames, and by the motion of the
original, as in the benchmark MotionHD (IV-VAE, Wu et al. 2024, Section 4.1),
with bins of our choice; LPIPS over AlexNet; and the Frechet video distance
(FVD) over the logits of I3D. The last two need weights, which are found as
`weights.find` says. For a missing metric there is a sentence that says why.
"""

from typing import Any

import numpy as np

from pseudovideo import errors
from pseudovideo.metrics import (
  compare,
  motion,
  pair_metrics,
  psnr,
  sources,
  ssim,
)
from pseudovideo.pretrained import i3d

PAIRS = ("PSNR", "SSIM", "LPIPS-alex")
# Limits between the bins, in shorter sides per frame. Above the last the flow
# underestimates motion in small clips, see `motion`.
EDGES = (1 / 128, 1 / 32)


def measure(
  real: np.ndarray, made: np.ndarray, *, seed: int = 0
) -> dict[str, Any]:
  """Measures clips by all metrics of the module docstring.

  Args:
    real: (N, T, H, W, C) uint8, clips in the order of time.
    made: (N, T, H, W, C) uint8, their reconstructions.
    seed: seed that records of sets quote, 0 or more.

  Returns:
    `metrics`, records by name; `by_motion`, see there; and `missing`, from the
    name of a metric to a sentence that says why it is not there.
  """
  length = sources.block_length(real.shape[1:])
  blocks = [
    (real[i : i + length], made[i : i + length])
    for i in range(0, len(real), length)
  ]
  records, missing = pair_metrics.records_or_reasons(blocks, PAIRS)
  found = {"metrics": records, "missing": missing}
  try:
    records |= frechet(real, made, seed=seed)
  except errors.UserError as error:
    missing["FVD"] = str(error)
  try:
    found["by_motion"] = by_motion(real, made)
  except errors.UserError as error:
    missing["by_motion"] = str(error)
  return found


def frechet(
  real: np.ndarray, made: np.ndarray, *, seed: int = 0
) -> dict[str, Any]:
  """The record of the FVD; its name holds the start of the weights' hash.

  Args:
    real: (N, T, H, W, C) uint8, clips in the order of time.
    made: (N, T, H, W, C) uint8, their reconstructions.
    seed: seed that the record quotes, 0 or more.

  Raises:
    UserError: there are no weights, or clips that I3D does not take.
  """
  network = i3d.load()
  network.check(real.shape[1:])
  if len(real) < 2:
    raise errors.UserError(
      "A Frechet distance needs two clips or more, and there is one; hold out "
      "more videos."
    )
  scored, reference = (
    sources.of_array(clips, title)
    for clips, title in ((made, "reconstructions"), (real, "held-out clips"))
  )
  return compare.sets(
    scored, reference, network, ["FD"], split="test", seed=seed
  )


def by_motion(real: np.ndarray, made: np.ndarray) -> dict[str, Any]:
  """Scores of clips by how much moves in the originals.

  Args:
    real: (N, T, H, W, C) uint8, clips in the order of time, T >= 2.
    made: (N, T, H, W, C) uint8, their reconstructions.

  Returns:
    `definition` of the motion and `bins`, each with `from` and `below`, in
    pixels per frame, `num_clips`, and over its clips and frames the means
    `PSNR`, None where a frame equals its original, `PSNR of mean error`,
    and `SSIM` where its window fits. They are None in an empty bin.

  Raises:
    UserError: clips without motion to score, or scikit-image is missing.
  """
  scores = motion.scores(real)
  side = min(real.shape[2:4])
  edges = [side * edge for edge in EDGES]
  decibels = psnr.per_image(real, made)
  values = {"PSNR": decibels, "PSNR of mean error": 10 ** (-decibels / 10)}
  if side >= ssim.SIZE:
    values["SSIM"] = ssim.per_image(real, made)
  binned = {k: motion.by_bin(scores, v, edges) for k, v in values.items()}
  bins = []
  for rows in zip(*binned.values(), strict=True):
    means = {k: row.pop("value") for k, row in zip(binned, rows, strict=True)}
    error = means["PSNR of mean error"]
    if error is not None:
      means["PSNR of mean error"] = -10 * np.log10(error) if error else np.inf
    bins.append(rows[0] | {k: _finite(mean) for k, mean in means.items()})
  return {"definition": motion.DEFINITION, "bins": bins}


def _finite(value: float | None) -> float | None:
  return float(value) if value is not None and np.isfinite(value) else None
