"""Evaluation: from a checkpoint to scores, results.json and a report."""

import math
import os
import pathlib
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from pseudovideo import data, errors, keys, pixels, runs
from pseudovideo.devices import sharding
from pseudovideo.evaluation import (
  elbo,
  equal_numbers,
  feature_networks,
  reconstruction,
  sampling,
  scoring,
  token_likelihood,
)
from pseudovideo.files import spared, untrusted, writable
from pseudovideo.metrics import set_metrics
from pseudovideo.pretrained import features
from pseudovideo.report import drawing
from pseudovideo.report import run as run_report
from pseudovideo.runs import metric_log, results, sample_files, trained_on
from pseudovideo.tasks import base
from pseudovideo.terminal import output, progress_bar

RESULTS_FILE = "results.json"
_SHOWN = 64


class Measure(NamedTuple):
  """A measurement that some tasks have besides scores.

  Attributes:
    ability: what the task must name, see `tasks.base.ABILITIES`.
    measure: (run, samples (N, H, W, C), how many of them count) -> its entry in
      results.json.
    sentence: the same in words.
  """

  ability: str
  measure: Callable[[runs.Run, np.ndarray, int], dict[str, Any]]
  sentence: Callable[[dict[str, Any]], str]


# By their names in results.json.
MEASURES = {
  "bound": Measure(
    "negative_elbo", lambda run, *_: elbo.measure(run), elbo.sentence
  ),
  "token_likelihood": Measure(
    "log_likelihood",
    lambda run, *_: token_likelihood.measure(run),
    token_likelihood.sentence,
  ),
  "reconstruction": Measure(
    "reconstruct",
    lambda run, images, num: reconstruction.measure(
      run, originals(run, len(images))[:num], images[:num]
    ),
    reconstruction.sentence,
  ),
}


def draw(run: runs.Run, num_samples: int | None = None) -> sample_files.Samples:
  """Samples from the averaged weights of a run.

  For an autoencoder they are reconstructions of held-out images, see
  `originals`.

  Args:
    run: a trained run.
    num_samples: by default `evaluate.num_samples` of its config; an autoencoder
      reconstructs no more images than are held out.
  """
  config = run.config.evaluate
  num = _number(run, num_samples)
  inputs = originals(run, num) if base.is_autoencoder(run.task) else None
  batch_size = min(num, config.batch_size)
  progress = progress_bar.Progress(
    num, description=f"sampling {run.config.title}"
  )
  clock = [time.monotonic()]

  def tick(done: int) -> None:
    clock.append(time.monotonic())
    progress.update(done)

  frames, videos = sampling.generate_images(
    run.params,
    run.extra,
    key=keys.named(jax.random.key(config.seed), "samples"),
    num=num,
    batch_size=batch_size,
    sampler=sampling.make_sampler(run.task, sharding.make_mesh()),
    images=inputs,
    progress=tick,
  )
  progress.close()
  begin, compiled, end = clock[0], clock[1], clock[-1]
  drawn = (len(clock) - 2) * batch_size
  return sample_files.Samples(
    frames,
    videos,
    config.seed,
    end - begin,
    run.step,
    per_second=drawn / (end - compiled) if drawn else None,
  )


def _number(run: runs.Run, num_samples: int | None) -> int:
  """The number of images that `draw` gives."""
  num = run.config.evaluate.num_samples if num_samples is None else num_samples
  if num < 1:
    raise errors.UserError(f"--num_samples must be at least 1; got {num}.")
  if base.is_autoencoder(run.task):
    num = min(num, len(run.image_set.test_images))
  return num


def _check_writable(run: runs.Run, num: int) -> None:
  """Refuses a folder that cannot hold the samples before they are drawn."""
  shape = run.task.image_shape
  writable.check(run.workdir / sample_files.NAME, num * math.prod(shape))


def originals(run: runs.Run, num: int) -> np.ndarray:
  """Images of which `draw(run, num)` gives the reconstructions, in order.

  Returns:
    At most `num` held-out images at even distances, (N, H, W, C) uint8, or
    clips (N, T, H, W, C).
  """
  return data.spread(run.image_set.test_images, num)


@output.forgiving()
def sample(run: runs.Run, *, num_samples: int | None = None) -> str:
  """Draws samples and writes npz and pictures; returns a sentence."""
  _check_writable(run, _number(run, num_samples))
  drawn = draw(run, num_samples)
  path = run.workdir / sample_files.NAME
  sample_files.save(path, drawn)
  pictures = {"samples": drawing.grid(drawn.images[:_SHOWN])}
  if drawn.videos is not None:
    pictures["generated_videos"] = drawing.film_strip(drawn.videos)
  lost = spared.Spared(f"the samples are in {path}")
  for name, picture in pictures.items():
    picture_path = run.workdir / f"{name}.png"
    with lost.writing("pictures", picture_path):
      drawing.save_png(picture_path, picture)
  said = f"{len(drawn.images)} samples of step {run.step} are in {path}"
  if lost["pictures"]:
    return f"{said}."
  return f"{said}, pictures in {run.workdir}/{' and '.join(pictures)}.png."


@output.forgiving()
def evaluate(
  run: runs.Run,
  *,
  num_samples: int | None = None,
  samples: str | os.PathLike | None = None,
) -> dict[str, Any]:
  """Scores last frames; writes results.json and report.html, prints a table.

  New samples are kept in samples.npz. Further measurements follow from the
  abilities that the task names.

  Args:
    run: a trained run.
    num_samples: how many images to score; by default as the config says, or
      all in `samples`.
    samples: npz file with `images` (N, H, W, C) uint8 to score instead of
      drawing new ones; for an autoencoder, reconstructions of
      `originals(run, N)`.

  Returns:
    What results.json holds.

  Raises:
    UserError: fewer than two samples are asked for, or more than the file
      holds, or it holds samples of another step or shape, or more
      reconstructions than there are held-out images; or something cannot be
      scored or written. All this is found before anything is drawn.
  """
  if num_samples is not None and num_samples < 2:
    raise errors.UserError(
      f"--num_samples must be at least 2 for scores; got {num_samples}."
    )
  config = run.config.evaluate
  writable.check(run.workdir / RESULTS_FILE)
  if samples is None:
    drawn, num = None, _number(run, num_samples)
    _check_writable(run, num)
    shape = run.task.image_shape
  else:
    drawn = _from_file(run, samples)
    num, shape = num_samples or len(drawn.images), drawn.images.shape[1:]
  scored = data.last_frames(run.image_set)
  scoring.check(shape, scored, num)
  # Missing weights are noticed before hours of drawing.
  networks = networks_of(run)
  if networks:
    scoring.check(shape, scored, num, config.metric_names)
  if drawn is None:
    drawn = draw(run, num_samples)
    sample_files.save(run.workdir / sample_files.NAME, drawn)
  sets = scoring.sets_of(
    drawn.images,
    scored,
    num_samples=num,
    binarize=run.config.data.binarize,
  )
  seen = [scoring.see(sets, network) for network in networks]
  kinds, seed = config.metric_names, config.seed
  scores = scoring.rows(sets, seen, kinds, seed=seed)
  equal = equal_numbers.rows(sets, seen, kinds, seed=seed)
  record = _record(run, drawn, scores, equal)
  for name, measure in MEASURES.items():
    if base.can(run.task, measure.ability):
      record[name] = measure.measure(run, drawn.images, num)
  results.write(run.workdir / RESULTS_FILE, record)
  path = run.workdir / RESULTS_FILE
  lost = spared.Spared(f"the scores are in {path}")
  with lost.writing("report", run.workdir / run_report.FILE):
    write_report(run, drawn, record)
  for line in _lines(record):
    print(line)
  report = run.workdir / run_report.FILE
  shown = "" if lost["report"] else f", the report in {report}"
  print(f"Scores are in {path}{shown}.")
  return record


def _from_file(run: runs.Run, path: str | os.PathLike) -> sample_files.Samples:
  """The samples in a file, which must be of this run's step."""
  drawn = sample_files.load(path)
  if drawn.step not in (None, run.step):
    raise errors.UserError(
      f"{path} holds samples of step {drawn.step}, not of step "
      f"{run.step}; give --step={drawn.step}."
    )
  held_out = len(run.image_set.test_images)
  if base.is_autoencoder(run.task) and len(drawn.images) > held_out:
    raise errors.UserError(
      f"{path} holds {len(drawn.images):,} images, but an autoencoder is "
      f"scored on reconstructions of the {held_out:,} held-out ones; draw them "
      "with --mode=sample."
    )
  return drawn


def networks_of(run: runs.Run) -> list[features.FeatureNetwork]:
  """The networks over which the samples of a run are scored."""
  return feature_networks.networks_for(
    data.last_frames(run.image_set),
    binarize=run.config.data.binarize,
    use=_use(run),
  )


def _use(run: runs.Run) -> feature_networks.Use:
  config = run.config.evaluate
  return feature_networks.Use(
    config.classifier, config.efflite0, config.inception
  )


def _lines(record: dict[str, Any]) -> list[str]:
  """The results as they are printed."""
  scores, left_out = record["metrics"], record["left_out"]
  return [
    *table_lines(scores),
    *equal_numbers.lines(record["equal_numbers"]),
    *trained_on.sentences(record["data"]),
    *set_metrics.about_inception_scores(scores["generated"]),
    *_warnings(*scores.values(), *record["equal_numbers"].values()),
    *(f"{name} is left out: {why}." for name, why in left_out.items()),
    *(
      measure.sentence(record[name])
      for name, measure in MEASURES.items()
      if name in record
    ),
  ]


def _warnings(*rows: dict[str, Any]) -> list[str]:
  """The warnings about the scores of some rows, each once."""
  found = (text for row in rows for text in set_metrics.warnings(row))
  return list(dict.fromkeys(found))


def table_lines(scores: dict[str, dict[str, Any]]) -> list[str]:
  """Generated and held-out scores side by side, as text."""
  width = 2 + max(map(len, scores["generated"]))
  lines = [f"{'metric':<{width}}{'generated':>14}{'held-out data':>16}"]
  for name, record in scores["generated"].items():
    real = scores["real"][name]
    lines.append(
      f"{name:<{width}}{record['value']:>14.4f}{real['value']:>16.4f}"
    )
  counts = [
    next(iter(scores[row].values()))["num_samples"]
    for row in ("generated", "real")
  ]
  lines.append(f"{'images':<{width}}{counts[0]:>14}{counts[1]:>16}")
  return lines


def write_report(
  run: runs.Run, drawn: sample_files.Samples, record: dict[str, Any]
) -> pathlib.Path:
  """Writes report.html of the run."""
  autoencoder = base.is_autoencoder(run.task)
  real = originals(run, len(drawn.images) if autoencoder else _SHOWN)
  return run_report.run_report(
    run.workdir,
    title=run.config.title,
    pseudo_videos=pseudo_videos(run),
    generated_videos=drawn.videos,
    samples=drawn.images[:_SHOWN],
    real=data.last_frame_of(real[:_SHOWN]),
    autoencoder=autoencoder,
    metrics=metric_log.read_metrics(run.workdir),
    results=record,
    config=run.config.raw,
  )


def pseudo_videos(run: runs.Run) -> np.ndarray:
  """Pseudo videos that the model is trained on, (n, T, H, W, C) uint8."""
  chosen = data.spread(run.image_set.train_images, sampling.FILM_STRIPS)
  key = keys.named(jax.random.key(run.config.evaluate.seed), "pseudo_videos")

  @jax.jit
  def make(params, extra, batch):
    video = run.task.pseudo_video(params, extra, batch, key=key)
    return pixels.quantize(video, run.task.value_range)

  return pixels.checked(make(run.params, run.extra, chosen))


def _record(run, drawn, scores, equal) -> dict[str, Any]:
  """Everything that is needed to quote the scores."""
  config = run.config
  return {
    "title": config.title,
    "metrics": scores,
    "equal_numbers": equal,
    "left_out": feature_networks.left_out(
      run.image_set, config.evaluate.metric_names, _use(run)
    ),
    "seeds": {"train": config.train.seed, "sample": drawn.seed},
    "samples_file": drawn.file,
    "samples_sha256": untrusted.sha256(run.workdir / sample_files.NAME)
    if drawn.file is None
    else None,
    "network_evaluations": run.task.network_evaluations,
    "wall_seconds": {
      "train": metric_log.train_seconds(run.workdir, run.step),
      "sample": drawn.seconds,
    },
    "samples_per_second": drawn.per_second,
    **results.origin(run),
  }
