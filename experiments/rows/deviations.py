"""Deviations of results, or of a run in its folder, from what a row asks for.

Each is a sentence such as "sampler.respacing is '150', was '50'"; none are left
if the row would give the same.
"""

from collections.abc import Mapping
from typing import Any

from experiments.rows.base import Job
from pseudovideo import tasks
from pseudovideo.config import comparing, parsing
from pseudovideo.tasks import base, first_stage

# How many samples are drawn at a time changes none of them.
_FREE = ("evaluate.batch_size",)


def of_results(job: Job, record: Mapping[str, Any]) -> list[str]:
  """Compares the results of a run with what it asks for now.

  Args:
    job: the run.
    record: the content of its results.json.

  Returns:
    All deviations, the first stage's last.
  """
  config = job.config
  found = of_record(record, config, config.train.steps)
  return found + of_first_stage(job, record["config"])


def of_record(
  record: Mapping[str, Any], config: parsing.Config, step: int
) -> list[str]:
  """Compares a record of results with the config that it should be of.

  Args:
    record: the content of a results.json. Fields that its config lacks are
      newer than it, and count as their default, which is what was done before
      there was a choice.
    config: the config that the model should have been trained with.
    step: updates that the model should have had.

  Returns:
    All deviations except a first stage's.
  """
  recorded = parsing.parse(record["config"])
  saved = comparing.flatten(recorded.raw)
  wanted = comparing.flatten(config.raw)
  found = comparing.differences(recorded.raw, config.raw)
  found += [
    f"{name} is {wanted.get(name)!r}, was {saved.get(name)!r}"
    for name in sorted(saved.keys() | wanted.keys())
    if name.partition(".")[0] in comparing.AFTER_TRAINING
    and name not in _FREE
    and saved.get(name) != wanted.get(name)
  ]
  images, wanted_images = _images(record), _wanted_images(record, config)
  if images != wanted_images:
    found.append(f"{wanted_images:,} images are scored, were {images:,}")
  seed = record["seeds"].get("sample")
  if seed != config.evaluate.seed:
    found.append(f"the seed of samples is {config.evaluate.seed}, was {seed}")
  if record["step"] != step:
    found.append(f"the step is {step:,}, was {record['step']:,}")
  return found


def _images(record: Mapping[str, Any]) -> int:
  """The number of images that were scored."""
  scores = record["metrics"].get("generated", {})
  return min((score["num_samples"] for score in scores.values()), default=0)


def _wanted_images(record: Mapping[str, Any], config: parsing.Config) -> int:
  """The number that a config asks for; an autoencoder has no more than data."""
  wanted = config.evaluate.num_samples
  if base.is_autoencoder(tasks.TABLE[config.task]):
    return min(wanted, record.get("data", {}).get("held_out", wanted))
  return wanted


def of_first_stage(job: Job, saved: Mapping[str, Any]) -> list[str]:
  """Compares the first stage of a saved config with the one that a run needs.

  Args:
    job: the run.
    saved: its config as JSON, of its folder or of its results.

  Returns:
    Deviations of the first stage's config; none if the run needs none.
  """
  if job.first_stage is None:
    return []
  section = first_stage.kind_of(saved).section
  found = parsing.parse(saved[section]["config"])
  changed = comparing.differences(found.raw, job.first_stage.config.raw)
  return [f"its {section}'s {change}" for change in changed]
