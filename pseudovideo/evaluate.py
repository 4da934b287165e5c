"""From a checkpoint to scores: restore, sample, last frame, metrics, report."""

import os
import pathlib
import time
from typing import Any

import jax
import numpy as np

from pseudovideo import (
  bounds,
  data,
  errors,
  images,
  keys,
  metrics,
  pixels,
  reconstruction,
  results,
  runs,
  sample_files,
  sampling,
  sharding,
  token_likelihood,
  writer,
)
from pseudovideo.metrics import set_metrics
from pseudovideo.report import run as run_report
from pseudovideo.tasks import base

RESULTS_FILE = "results.json"
# What some kinds of tasks have besides scores, and what says it in words.
MEASURED = {
  "bound": bounds,
  "token_likelihood": token_likelihood,
  "reconstruction": reconstruction,
}
_SHOWN = 64


def draw(run: runs.Run, num_samples: int | None = None) -> sample_files.Samples:
  """Samples from the averaged weights of a run.

  Of an autoencoder: reconstructions of held-out images, see `originals`.

  Args:
    run: of `runs.restore`.
    num_samples: by default `evaluate.num_samples` of its config; an autoencoder
      reconstructs no more images than are held out.
  """
  config = run.config.evaluate
  num = config.num_samples if num_samples is None else num_samples
  if num < 1:
    raise errors.UserError(f"--num_samples must be at least 1; got {num}.")
  inputs = None
  if base.is_autoencoder(run.task):
    inputs = originals(run, num)
    num = len(inputs)
  batch_size = min(num, config.batch_size)
  progress = writer.Progress(num, description=f"sampling {run.config.title}")
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


def originals(run: runs.Run, num: int) -> np.ndarray:
  """Images of which `draw(run, num)` gives the reconstructions, in order.

  Returns:
    At most `num` held-out images at even distances, (N, H, W, C) uint8, or
    clips (N, T, H, W, C).
  """
  return data.spread(run.image_set.test_images, num)


def sample(run: runs.Run, *, num_samples: int | None = None) -> str:
  """Draws samples and writes npz and pictures; returns a sentence."""
  drawn = draw(run, num_samples)
  path = run.workdir / sample_files.NAME
  sample_files.save(path, drawn)
  for name, picture in {
    "samples": images.grid(drawn.images[:_SHOWN]),
    "generated_videos": images.film_strip(drawn.videos),
  }.items():
    images.save_png(run.workdir / f"{name}.png", picture)
  return (
    f"{len(drawn.images)} samples of step {run.step} are in {path}, pictures "
    f"in {run.workdir}/samples.png and generated_videos.png."
  )


def evaluate(
  run: runs.Run,
  *,
  num_samples: int | None = None,
  samples: str | os.PathLike | None = None,
) -> dict[str, Any]:
  """Scores last frames; writes results.json and report.html, prints a table.

  Samples that it draws are kept, in samples.npz.

  Args:
    run: of `runs.restore`.
    num_samples: how many images to score; by default as the config says, or
      all in `samples`.
    samples: npz file with `images` (N, H, W, C) uint8 to score instead of
      drawing new ones; for an autoencoder, those of `originals(run, N)`.

  Returns:
    What results.json holds.

  Raises:
    UserError: fewer than two samples are asked for, or more than the file
      holds, or it holds those of another step, or more reconstructions than
      there are held-out images.
  """
  if num_samples is not None and num_samples < 2:
    raise errors.UserError(
      f"--num_samples must be at least 2 for scores; got {num_samples}."
    )
  config = run.config.evaluate
  binarize = run.config.data.binarize
  image_set = data.last_frames(run.image_set)
  networks = metrics.networks_for(
    image_set, binarize=binarize, use_inception=config.inception
  )
  if samples is None:
    drawn = draw(run, num_samples)
    sample_files.save(run.workdir / sample_files.NAME, drawn)
  else:
    drawn = sample_files.load(samples)
    if drawn.step not in (None, run.step):
      raise errors.UserError(
        f"{samples} holds samples of step {drawn.step}, not of step "
        f"{run.step}; give --step={drawn.step}."
      )
    _check_pairs(run, drawn, samples)
  # An autoencoder may have drawn fewer than were asked for.
  num = len(drawn.images)
  if num_samples is not None and samples is not None:
    num = num_samples
  scores = metrics.score(
    drawn.images,
    image_set,
    networks,
    num_samples=num,
    seed=config.seed,
    binarize=binarize,
    kinds=config.metric_names,
  )
  record = _record(run, drawn, scores)
  if hasattr(run.task, "negative_elbo"):
    record["bound"] = bounds.measure(run)
  if hasattr(run.task, "log_likelihood"):
    record["token_likelihood"] = token_likelihood.measure(run)
  if base.is_autoencoder(run.task):
    record["reconstruction"] = reconstruction.measure(
      run, originals(run, len(drawn.images))[:num], drawn.images[:num]
    )
  results.write(run.workdir / RESULTS_FILE, record)
  page = write_report(run, drawn, record)
  for line in (
    *table_lines(scores),
    *set_metrics.about_inception_scores(scores["generated"]),
  ):
    print(line)
  for name, module in MEASURED.items():
    if name in record:
      print(module.sentence(record[name]))
  print(f"Scores are in {run.workdir / RESULTS_FILE}, the report in {page}.")
  return record


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
  """report.html of the run."""
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
    metrics=writer.read_metrics(run.workdir),
    results=record,
    config=run.raw,
  )


def pseudo_videos(run: runs.Run) -> np.ndarray:
  """What the model is trained on, (n, T, H, W, C) uint8."""
  chosen = data.spread(run.image_set.train_images, sampling.FILM_STRIPS)
  key = keys.named(jax.random.key(run.config.evaluate.seed), "pseudo_videos")

  @jax.jit
  def make(params, extra, batch):
    video = run.task.pseudo_video(params, extra, batch, key=key)
    return pixels.to_uint8(video, run.task.value_range)

  return np.asarray(make(run.params, run.extra, chosen))


def _check_pairs(run, drawn, samples) -> None:
  """Refuses more reconstructions than there are images to compare them with."""
  held_out = len(run.image_set.test_images)
  if base.is_autoencoder(run.task) and len(drawn.images) > held_out:
    raise errors.UserError(
      f"{samples} holds {len(drawn.images):,} images, but an autoencoder is "
      f"scored on reconstructions of the {held_out:,} held-out ones; draw them "
      "with --mode=sample."
    )


def _record(run, drawn, scores) -> dict[str, Any]:
  """Everything that is needed to quote the scores."""
  config = run.config
  rows = [r for r in writer.read_metrics(run.workdir) if r["split"] == "train"]
  rows = [r for r in rows if r["step"] <= run.step]
  return {
    "title": config.title,
    "metrics": scores,
    "seeds": {"train": config.train.seed, "sample": drawn.seed},
    "samples_file": drawn.file,
    "network_evaluations": run.task.network_evaluations,
    "wall_seconds": {
      "train": rows[-1]["seconds"] if rows else None,
      "sample": drawn.seconds,
    },
    "samples_per_second": drawn.per_second,
    **results.origin(run),
  }
