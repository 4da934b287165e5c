"""Scores of a sweep of samplers, a file each, so that it can be stopped.

What was measured is not measured again, and not taken for the scores of
another run: every file says what its scores depend on.
"""

import hashlib
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from pseudovideo import configuration, errors, metrics, runs

Point = dict[str, Any]

# They change weights, which have a fingerprint of their own, or nothing.
_FREE = ("title", "optimizer", "train", "evaluate", "sampler")


def fingerprint(
  run: runs.Run, network: metrics.FeatureNetwork, num_samples: int
) -> dict[str, Any]:
  """All that scores depend on, besides the setting and the seed."""
  weights = hashlib.sha256()
  for leaf in jax.tree.leaves((run.params, run.extra)):
    weights.update(np.ascontiguousarray(leaf).tobytes())
  about = {
    "step": run.step,
    "num_samples": num_samples,
    "weights": weights.hexdigest(),
    "data": run.image_set.fingerprint,
    "feature_network": network.weights_hash,
    "score_seed": run.config.evaluate.seed,
    "clip_pseudo_frames": run.task.sampler.clip_pseudo_frames,
    "config": {k: v for k, v in run.raw.items() if k not in _FREE},
  }
  return configuration.flatten(configuration.to_json(about))


def save(path: pathlib.Path, about: Mapping[str, Any], point: Point) -> None:
  """Writes a point and what it is about, in one step."""
  path.parent.mkdir(parents=True, exist_ok=True)
  part = path.with_name(f".{path.name}.{os.getpid()}.part")
  text = json.dumps({"about": about, "point": point}, indent=1)
  part.write_text(f"{text}\n", encoding="utf-8")
  part.replace(path)


def load(path: pathlib.Path, about: Mapping[str, Any]) -> Point | None:
  """The point in a file; None if there is no file.

  Raises:
    UserError: the file cannot be read, or is about something else.
  """
  if not path.exists():
    return None
  try:
    saved = json.loads(path.read_text(encoding="utf-8"))
    found, point = dict(saved["about"]), dict(saved["point"])
  except (ValueError, KeyError, TypeError) as error:
    raise errors.UserError(
      f"{path} is no score of this program ({type(error).__name__}: {error}); "
      "remove it, or give another --out."
    ) from error
  changed = [
    f"{name} is {about.get(name)!r}, was {found.get(name)!r}"
    for name in sorted(found.keys() | about.keys())
    if found.get(name) != about.get(name)
  ]
  if changed:
    raise errors.UserError(
      f"{path} holds the score of something else: {'; '.join(changed)}. Give "
      "another --out."
    )
  return point
