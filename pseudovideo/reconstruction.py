"""How well an autoencoder gives held-out images back.

Distances between sets, such as FD, are in the other scores; here are those of
pairs, and for tokenizers how much of the codebook is used.
"""

from typing import Any

import numpy as np

from pseudovideo import runs, tokens
from pseudovideo.metrics import pair_metrics, ssim

BLOCK = 500


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
    tokenizer `codebook` too, see `tokens.usage`.
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
  return found


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
  return f"Reconstructed: {'; '.join(parts)}."
