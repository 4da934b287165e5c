"""Scores of a sweep of samplers, a file each, so that it can be stopped.

Every file says what its scores depend on. One that is there is not measured
again, and not taken for the score of another run.
"""

import hashlib
import json
import pathlib
import sys
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from pseudovideo import errors, runs
from pseudovideo.config import comparing
from pseudovideo.files import atomic
from pseudovideo.pretrained import features
from pseudovideo.runs import record_fields, results

Point = dict[str, Any]

# They change weights, which have a fingerprint of their own, or nothing.
_FREE = ("title", "optimizer", "train", "evaluate", "sampler")


def fingerprint(
  run: runs.Run, networks: list[features.FeatureNetwork], num_samples: int
) -> dict[str, Any]:
  """The content that scores depend on, besides the setting and the seed.

  Args:
    run: the run that is sampled.
    networks: networks whose features are compared.
    num_samples: number of scored images.

  Returns:
    Field, such as `config.process.steps` -> value.
  """
  weights = hashlib.sha256()
  for leaf in jax.tree.leaves((run.params, run.extra)):
    weights.update(np.ascontiguousarray(leaf).tobytes())
  about = {
    "step": run.step,
    "num_samples": num_samples,
    "weights": weights.hexdigest(),
    "data": run.image_set.fingerprint,
    "feature_networks": [network.weights_hash for network in networks],
    "score_seed": run.config.evaluate.seed,
    "clip_pseudo_frames": run.task.sampler.clip_pseudo_frames,
    "config": {k: v for k, v in run.config.raw.items() if k not in _FREE},
  }
  return comparing.flatten(comparing.to_json(about))


def save(path: pathlib.Path, about: Mapping[str, Any], point: Point) -> None:
  """Writes a point and the fingerprint of its run, in one step."""
  text = json.dumps({"about": about, "point": point}, indent=1)
  with atomic.replacing(path) as part:
    part.write_text(f"{text}\n", encoding="utf-8")


def load(path: pathlib.Path, about: Mapping[str, Any]) -> Point | None:
  """The point in a file; None if there is none, or a damaged one.

  Raises:
    UserError: it is about something else.
  """
  if not path.exists():
    return None
  try:
    with results.from_file(path):
      saved = results.read_json(path)
      found, point = dict(saved["about"]), dict(saved["point"])
      _ = point["seconds"] + 0.0
      record_fields.check_scores(point["metrics"])
  except errors.UserError as error:
    print(f"Scored again: {error}", file=sys.stderr)
    return None
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
