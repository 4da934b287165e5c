"""The fields of results.json: their types, and what reads them relies on."""

from collections.abc import Mapping
from typing import Any

from pseudovideo import errors

# Every field of a record, its type and its meaning.
FIELDS = {
  "metrics": (dict, "row (`generated`, `real`) -> metric name -> its record"),
  "seeds": (dict, "purpose, such as `train` or `sample`, -> seed"),
  "ema": (bool, "whether averaged weights were sampled from"),
  "step": (int, "optimizer steps of the checkpoint"),
  "images_seen": (int, "training images up to that step, with repetitions"),
  "num_parameters": (int, "numbers that were trained"),
  "network_evaluations": (int, "network evaluations per sample"),
  "wall_seconds": (dict, "stage, such as `train` or `sample`, -> seconds"),
  "config": (dict, "the config of the run"),
  "provenance": (dict, "`provenance()` on the machine that computed it"),
}
METRIC_FIELDS = {
  "name": (str, "such as `FD-digitscls`"),
  "value": (float, "the score"),
  "definition": (str, "one exact sentence"),
  "num_samples": (int, "images that were scored"),
  "reference_split": (str | None, "what they were compared with, if anything"),
  "reference_size": (int | None, "and how many images that is"),
}
PROVENANCE_FIELDS = {
  "device": (dict, "platform, kind and number"),
  "host": (dict, "operating system, architecture and number of cores"),
  "packages": (dict, "package -> version"),
  "python": (str, "its version"),
  "git_commit": (str | None, "None outside a git checkout"),
  "git_changed": (bool | None, "whether tracked files differed from it"),
  "date": (str, "UTC, ISO 8601"),
}
NETWORK_FIELDS = {
  "weights_hash": (str, "SHA-256 of its weights"),
}

# Types below the fields, where they are there: a dict by names, or by the type
# `str` for all of its values; a list by the type of its elements.
_NUMBER = float | None
_METRIC = {
  "std": _NUMBER,
  "better": str | None,
  "warning": str | None,
  "feature_network": {
    "name": str,
    "feature_dim": int,
    "held_out_accuracy": float,
    "resize": str,
    "weights": str,
  },
}
SHAPES = {
  "title": str,
  "seeds": {"train": int | None},
  "wall_seconds": {str: _NUMBER},
  "samples_per_second": _NUMBER,
  "left_out": {str: str},
  "data": {
    "fingerprint": str | None,
    "trained_on": str | None,
    "name": str,
    "held_out": int,
    "earlier": [{"fingerprint": str, "until_step": int}],
  },
  "metrics": {str: {str: _METRIC}},
  "equal_numbers": {str: {str: {"value": float, **_METRIC}}},
  "provenance": {
    "device": {"kind": str, "count": int},
    "host": {"cores": int | None},
    "packages": {str: str},
  },
  "config": {
    "title": str,
    "data": {"name": str},
    "optimizer": {"ema_decay": _NUMBER},
    "task": {"name": str, "adversarial": object, "perceptual": object},
    "tokenizer": {},
  },
  "bound": {
    "levels": [float],
    "negative_elbo": float,
    "negative_elbo_at_best_deltas": float,
    "num_images": int,
  },
  "token_likelihood": {
    "bits_per_dim": float,
    "nats_per_token": float,
    "definition": str,
  },
  "reconstruction": {
    "metrics": {
      str: {
        "value": float,
        "std": _NUMBER,
        "better": str,
        "definition": str,
        "num_samples": int,
      }
    },
    "codebook": {
      "codes": int,
      "codes_used": int,
      "perplexity": float,
      "tokens": int,
    },
    "videos": {
      "num_videos": int,
      "psnr_by_frame": [_NUMBER],
      "information_preserved": float,
      "ssim_by_position": [float],
      "ssim_spread": float,
    },
  },
}


def validate(record: Any) -> None:
  """Refuses a record that lacks a field, or has one of another type.

  Raises:
    UserError: so it is; names the field.
  """
  _check_fields(record, FIELDS, "results")
  _check_fields(record["provenance"], PROVENANCE_FIELDS, "provenance")
  check_scores(record["metrics"])
  _check_shape(record, SHAPES, "results")


def check_scores(scores: Any) -> None:
  """Refuses scores that lack a field, or have one of another type.

  Args:
    scores: row -> metric name -> its record.

  Raises:
    UserError: so it is; names the field.
  """
  for row, metrics in scores.items():
    if not isinstance(metrics, dict):
      raise errors.UserError(f"The row {row!r} of the metrics is no mapping.")
    for name, metric in metrics.items():
      where = f"metrics.{row}.{name}"
      _check_fields(metric, METRIC_FIELDS, where)
      if "feature_network" in metric:
        _check_fields(
          metric["feature_network"], NETWORK_FIELDS, f"{where}.feature_network"
        )


def _check_fields(record: Any, fields: Mapping[str, Any], where: str) -> None:
  if not isinstance(record, dict):
    raise errors.UserError(
      f"{where!r} must be a mapping; got {errors.shown(record)}."
    )
  for name, (kind, meaning) in fields.items():
    if name not in record:
      raise errors.UserError(
        f"{where!r} lacks the field {name!r} ({meaning}); add it."
      )
    if not _fits(record[name], kind):
      raise errors.UserError(
        f"The field {name!r} of {where!r} ({meaning}) must be "
        f"{getattr(kind, '__name__', kind)}; got {errors.shown(record[name])}."
      )


def _fits(value: Any, kind: Any) -> bool:
  """True if a value is of a type; a whole number is a float too, a bool not."""
  if kind in (int, float, int | None, float | None):
    if isinstance(value, bool):
      return False
    if isinstance(value, int):
      return True
  return isinstance(value, kind)


def _check_shape(value: Any, shape: Any, where: str) -> None:
  """Checks what `SHAPES` says of a value."""
  if isinstance(shape, dict):
    if not isinstance(value, dict):
      raise errors.UserError(
        f"{where!r} must be a mapping; got {errors.shown(value)}."
      )
    for name, entry in value.items():
      if (inner := shape.get(name, shape.get(str))) is not None:
        _check_shape(entry, inner, f"{where}.{name}")
  elif isinstance(shape, list):
    if not isinstance(value, list):
      raise errors.UserError(
        f"{where!r} must be a list; got {errors.shown(value)}."
      )
    for index, entry in enumerate(value):
      _check_shape(entry, shape[0], f"{where}[{index}]")
  elif not _fits(value, shape):
    raise errors.UserError(
      f"{where!r} must be {getattr(shape, '__name__', shape)}; got "
      f"{errors.shown(value)}."
    )
