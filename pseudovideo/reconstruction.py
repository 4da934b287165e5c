"""How well an autoencoder gives held-out images back.

Distances between sets, such as FD, are in the other scores; here are those of
pairs, for tokenizers how much of the codebook is used, and for video VAEs how
well each frame of the video comes back.
"""

from typing import Any

import jax
import numpy as np

from pseudovideo import data, keys, pixels, runs, sharding, tokens
from pseudovideo.metrics import information, pair_metrics, psnr, ssim

BLOCK = 500
# So many videos are scored as a whole.
VIDEOS = 500


def measure(
  run: runs.Run, originals: np.ndarray, images: np.ndarray
) -> dict[str, Any]:
  """What results.json holds as `reconstruction`.

  Args:
    run: of `runs.restore`.
    originals: (N, H, W, C) uint8.
    images: their reconstructions, of the same shape.

  Returns:
    `metrics`, {name: record}: PSNR as the mean over images and of the mean
    error, information preservation degree, and SSIM where its window fits. Of a
    tokenizer `codebook` too, see `tokens.usage`; of a video VAE `videos`, see
    `of_videos`.
  """
  kinds = ["PSNR", "IPD"]
  if min(originals.shape[1:3]) >= ssim.SIZE:
    kinds.append("SSIM")
  blocks = (
    (originals[i : i + BLOCK], images[i : i + BLOCK])
    for i in range(0, len(images), BLOCK)
  )
  found = {"metrics": pair_metrics.records(blocks, kinds)}
  if hasattr(run.task, "encode"):
    config = run.config.evaluate
    ids = tokens.encode(
      run, originals, batch_size=config.batch_size, seed=config.seed
    )
    found["codebook"] = tokens.usage(ids, run.task.num_codes)
  if hasattr(run.task, "posterior"):
    found["videos"] = of_videos(run, data.spread(originals, VIDEOS))
  return found


def of_videos(run: runs.Run, originals: np.ndarray) -> dict[str, Any]:
  """How a video VAE gives the frames of pseudo videos back.

  Args:
    run: of a video VAE.
    originals: (N, H, W, C) uint8.

  Returns:
    `num_videos`; `psnr_by_frame`, T means over videos, dB, the clean image
    last, None for a frame that some video has back to the bit;
    `information_preserved`, over all frames, see `information`. Where groups of
    frames are encoded together and the window fits, `ssim_by_position` in a
    group, in the order of encoding, and its maximum minus its minimum,
    `ssim_spread`; see `ssim.per_position`.
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
  group, behind = run.task.group, real.shape[1] - 1
  grouped = group > 1 and behind > 0 and behind % group == 0
  if grouped and min(real.shape[2:4]) >= ssim.SIZE:
    real, made = (run.task.in_order(video) for video in (real, made))
    profile = ssim.per_position(real, made, group)
    found["ssim_by_position"] = profile.tolist()
    found["ssim_spread"] = ssim.spread(profile)
  return found


def _videos(run, originals):
  """Pseudo videos and their reconstructions, (N, T, H, W, C) uint8."""
  task, config = run.task, run.config.evaluate

  def both(params, extra, images, key):
    return [
      pixels.to_uint8(make(params, extra, images, key=key), task.value_range)
      for make in (task.pseudo_video, task.reconstruct)
    ]

  batches = sharding.in_batches(
    both,
    run.params,
    run.extra,
    originals,
    key=keys.named(jax.random.key(config.seed), "videos"),
    batch_size=config.batch_size,
  )
  return [
    np.concatenate(videos)
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
    values = found["videos"]["psnr_by_frame"]
    shown = ", ".join("inf" if v is None else f"{v:.3g}" for v in values)
    parts.append(f"PSNR of the frames {shown}")
  return f"Reconstructed: {'; '.join(parts)}."
