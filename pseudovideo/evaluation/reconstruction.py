"""Errors of an autoencoder's reconstructions of held-out images.

Distances between sets, such as FD, are among the other scores. Here are scores
of pairs; for tokenizers also the use of the codebook; for video VAEs also the
error of each frame of the video, and of real clips by their motion.
"""

from typing import Any

import jax
import numpy as np

from pseudovideo import data, keys, pixels, runs
from pseudovideo.devices import batching
from pseudovideo.evaluation import clip_scores
from pseudovideo.first_stages import tokens
from pseudovideo.metrics import information, pair_metrics, psnr, ssim
from pseudovideo.tasks import base

BLOCK = 500
# Number of videos that are scored with all their frames.
VIDEOS = 500


def measure(
  run: runs.Run, originals: np.ndarray, images: np.ndarray
) -> dict[str, Any]:
  """Measures reconstructions, `reconstruction` in results.json.

  Args:
    run: a trained run.
    originals: (N, H, W, C) uint8, or clips (N, T, H, W, C).
    images: their reconstructions (N, H, W, C), of clips the last frames.

  Returns:
    `metrics`, {name: record}: PSNR as the mean over images and of the mean
    error, information preservation degree, and SSIM where its window fits;
    `missing`, from a missing metric, such as PSNR of equal images, to the
    reason. A tokenizer has `codebook` too, see `tokens.usage`, and a video VAE
    `videos`, see `of_videos`.
  """
  last = data.last_frame_of(originals)
  kinds = ["PSNR", "IPD"]
  if min(last.shape[1:3]) >= ssim.SIZE:
    kinds.append("SSIM")
  blocks = [
    (last[i : i + BLOCK], images[i : i + BLOCK])
    for i in range(0, len(images), BLOCK)
  ]
  records, missing = pair_metrics.records_or_reasons(blocks, kinds)
  found = {"metrics": records} | ({"missing": missing} if missing else {})
  if base.can(run.task, "encode"):
    config = run.config.evaluate
    ids = tokens.encode(
      run, originals, batch_size=config.batch_size, seed=config.seed
    )
    found["codebook"] = tokens.usage(ids, run.task.num_codes)
  if base.can(run.task, "posterior"):
    found["videos"] = of_videos(run, data.spread(originals, VIDEOS))
  return found


def of_videos(run: runs.Run, originals: np.ndarray) -> dict[str, Any]:
  """Measures how a video VAE reconstructs pseudo videos, or clips.

  Args:
    run: a trained video VAE.
    originals: (N, H, W, C) uint8, or clips (N, T, H, W, C).

  Returns:
    `num_videos`; `psnr_by_frame`, T means over videos in dB, the clean image
    last, None where some video's frame is reconstructed bit for bit;
    `information_preserved`, over all frames, see `information`. Where groups of
    frames are encoded together and the window fits, also `ssim_by_position` in
    a group, in the order of encoding, and its maximum minus its minimum,
    `ssim_spread`; see `ssim.per_position`. For clips also the result of
    `clip_scores.measure`.
  """
  real, made = _videos(run, originals)
  by_frame = psnr.per_image(real, made).mean(0)
  found = {
    "num_videos": len(real),
    "psnr_by_frame": [
      float(value) if np.isfinite(value) else None for value in by_frame
    ],
    "information_preserved": information.preservation_degree(real, made),
  }
  if originals.ndim == 5:
    seed = run.config.evaluate.seed
    found |= clip_scores.measure(real, made, seed=seed)
  group, behind = run.task.group, real.shape[1] - 1
  grouped = group > 1 and behind > 0 and behind % group == 0
  if grouped and min(real.shape[2:4]) >= ssim.SIZE:
    real, made = (run.task.in_order(video) for video in (real, made))
    profile = ssim.per_position(real, made, group)
    found["ssim_by_position"] = profile.tolist()
    found["ssim_spread"] = ssim.spread(profile)
  return found


def _videos(run, originals):
  """Videos and their reconstructions, (N, T, H, W, C) uint8."""
  task, config = run.task, run.config.evaluate

  def both(params, extra, images, key):
    return [
      pixels.quantize(make(params, extra, images, key=key), task.value_range)
      for make in (task.pseudo_video, task.reconstruct)
    ]

  batches = batching.map_batches(
    both,
    (run.params, run.extra),
    originals,
    key=keys.named(jax.random.key(config.seed), "videos"),
    batch_size=config.batch_size,
  )
  return [
    np.concatenate([pixels.checked(part) for part in videos])
    for videos in zip(*(pair for _, pair in batches), strict=True)
  ]


def sentence(found: dict[str, Any]) -> str:
  """The reconstruction in words."""
  parts = [
    f"{name} {record['value']:.4g}" for name, record in found["metrics"].items()
  ]
  if "codebook" in found:
    book = found["codebook"]
    parts.append(
      f"{book['codes_used']:,} of {book['codes']:,} codes used, perplexity "
      f"{book['perplexity']:.1f}"
    )
  if "videos" in found:
    shown = map(_shown, found["videos"]["psnr_by_frame"])
    parts.append(f"PSNR of the frames {', '.join(shown)}")
    parts += _of_clips(found["videos"])
  return f"Reconstructed: {'; '.join(parts)}."


def _of_clips(found: dict[str, Any]) -> list[str]:
  """The measurements of real clips only, in words."""
  parts = [
    f"{name} of the clips {record['value']:.4g}"
    for name, record in found.get("metrics", {}).items()
  ]
  parts += [
    f"{row['num_clips']:,} clips of motion {row['from'] or 0:.3g} to "
    f"{_shown(row['below'])} with PSNR {_shown(row['PSNR'])}"
    for row in found.get("by_motion", {}).get("bins", [])
    if row["num_clips"]
  ]
  if found.get("missing"):
    parts.append(f"without {', '.join(found['missing'])}, as results.json says")
  return parts


def _shown(value: float | None) -> str:
  return "inf" if value is None else f"{value:.3g}"
