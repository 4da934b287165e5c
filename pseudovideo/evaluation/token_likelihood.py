"""Likelihood of held-out tokens under a run with `log_likelihood`.

The likelihood of a grid of tokens is exact. It is no likelihood of the image,
and tokens of different tokenizers are different data: only models of the same
tokens can be compared by it.
"""

import math
from typing import Any

import numpy as np

from pseudovideo import data, runs
from pseudovideo.devices import batching
from pseudovideo.first_stages import tokens

MOST_IMAGES = 1000
DEFINITION = (
  "-log p of the tokens of held-out images: nats per token, mean and standard "
  "error over images; bits_per_dim is the same in bits, over the numbers of an "
  "image's pixels. Of comparison: `uniform`, all codes equally likely, and "
  "`frequencies`, tokens drawn independently with the frequencies that codes "
  "have among these very tokens."
)


def measure(run: runs.Run, most: int = MOST_IMAGES) -> dict[str, Any]:
  """Measures the likelihood, `token_likelihood` in results.json.

  Args:
    run: a trained run; its averaged weights are used.
    most: held-out images, at even distances.

  Returns:
    `nats_per_token` with `standard_error`, `bits_per_dim`; `uniform` and
    `frequencies`, nats per token of simpler models.
  """
  ids = held_out_ids(run, most)
  nats = -per_image(run, ids).mean(axis=1)
  total_bits = nats.mean() * ids.shape[1] / math.log(2)
  usage = tokens.usage(ids, run.task.coder.num_codes)
  return {
    "nats_per_token": float(nats.mean()),
    "standard_error": float(nats.std(ddof=1) / math.sqrt(len(nats))),
    "bits_per_dim": float(total_bits / math.prod(run.task.image_shape)),
    "uniform": math.log(usage["codes"]),
    "frequencies": math.log(usage["perplexity"]),
    "definition": DEFINITION,
    "split": "test",
    "num_images": len(ids),
    "tokens": usage["tokens"],
  }


def held_out_ids(run: runs.Run, most: int) -> np.ndarray:
  """(N, tokens) int32 of at most `most` held-out images."""
  ids = tokens.encode(
    run.task.trained(run.extra),
    data.spread(run.image_set.test_images, most),
    batch_size=run.config.evaluate.batch_size,
  )
  return ids.reshape(len(ids), -1)


def per_image(run: runs.Run, ids: np.ndarray) -> np.ndarray:
  """log p of each token given the tokens before, (N, tokens) float64, nats."""
  batches = batching.map_batches(
    run.task.log_likelihood,
    (run.params, run.extra),
    ids,
    batch_size=run.config.evaluate.batch_size,
  )
  return np.concatenate([part for _, part in batches]).astype(np.float64)


def sentence(found: dict[str, Any]) -> str:
  """The likelihood in words."""
  return (
    f"{found['nats_per_token']:.4f} +- {found['standard_error']:.4f} nats per "
    f"token over {found['num_images']:,} held-out images (equally likely codes "
    f"{found['uniform']:.4f}, their frequencies alone "
    f"{found['frequencies']:.4f}); {found['bits_per_dim']:.4f} bits/dim."
  )
