"""IV-VAE part by part: how well pseudo videos come back.

  python -m experiments run ivvae_ablation --dataset=digits
  python -m experiments report ivvae_ablation --dataset=digits
  python -m experiments initial ivvae_ablation --dataset=digits

`run` trains what is missing, the image VAEs first that the video VAEs begin as;
`experiments/rows/video_vae.py` says what the rows are. `initial` scores video
VAEs as they begin, inflated and not trained, where their image VAEs are done,
and writes ROOT/DATASET-PRESET/ivvae_initial.json.

The paper's numbers are of Kinetics-600, whose clips are not here: 17 frames of
256x256 pixels, PSNR of all frames, which is to be held against ours in no way.
Ours are of pseudo videos: the column PSNR is of the clean image alone.
"""

import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax

from experiments.reporting import tables
from experiments.rows import video_vae
from experiments.rows.base import Job, Table
from experiments.running import commands, work
from pseudovideo import data, keys, runs
from pseudovideo.evaluation import evaluate, reconstruction
from pseudovideo.first_stages import given
from pseudovideo.runs import results

INITIAL = "ivvae_initial.json"
TABLE = Table(
  "ivvae_ablation",
  "IV-VAE, part by part: reconstructions of pseudo videos",
  video_vae.FAMILY,
  video_vae.ABLATION,
  score="PSNR",
  fallback_dataset="kinetics",
  words=video_vae.WORDS,
)


def begin(job: Job, root: str, data_dir: str | None = None) -> runs.Run:
  """The run of a row before its first update.

  Args:
    job: the run of a row with a `start` that is trained.
    root: folder of all runs.
    data_dir: folder of TFDS data sets.
  """
  workdir = str(job.start.workdir(root))
  config = job.config.replaced("task", start=workdir)
  image_set = data.load(config.data.name, data_dir=data_dir)
  task = config.make_task(image_set.image_shape)
  key = keys.named(jax.random.key(config.train.seed), "init")
  params, extra = given.init(task, key, image_set)
  started = runs.restore(job.start.workdir(root), data_dir=data_dir)
  return dataclasses.replace(
    started, config=config, task=task, params=params, extra=extra
  )


def initial(values: commands.Values) -> int:
  """Scores video VAEs as they begin, writes and prints; returns exit code."""
  wanted = [
    job for job in commands.chosen_jobs(TABLE, values) if job.start is not None
  ]
  jobs = [
    job for job in wanted if work.results_of(job.start, values.root) is not None
  ]
  missing = sorted({job.start.name for job in wanted} - _starts(jobs))
  if missing:
    print(f"Left out, as these image VAEs are missing: {', '.join(missing)}.")
  if not jobs:
    return 1
  found = {}
  for job in jobs:
    run = begin(job, values.root, values.data_dir)
    # The images that an evaluation scores, to compare before with after.
    scored = evaluate.originals(run, run.config.evaluate.num_samples)
    originals = data.spread(scored, reconstruction.VIDEOS)
    found[job.name] = reconstruction.of_videos(run, originals)
  record = {"videos": found, "provenance": results.provenance()}
  folder = jobs[0].folder(values.root)
  paths = [folder / INITIAL]
  if values.publish:
    published = jobs[0].folder(pathlib.Path(values.publish, video_vae.FAMILY))
    paths.append(published / INITIAL)
  for path in paths:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=2) + "\n")
  print(tables.as_text(*initial_table(found)))
  print(f"Scores are in {paths[-1]}.")
  return 0


def _starts(jobs: list[Job]) -> set[str]:
  return {job.start.name for job in jobs}


def initial_table(
  scores: Mapping[str, Mapping[str, Any]],
) -> tuple[list[str], list[list[str]]]:
  """Header and rows, the clean image first, as it is encoded first."""
  frames = max(len(one["psnr_by_frame"]) for one in scores.values())
  header = ["", "preserved", *(f"PSNR {t}" for t in range(frames))]
  rows = []
  for name, one in scores.items():
    by_frame = [
      tables.NOTHING if value is None else f"{value:.2f}"
      for value in reversed(one["psnr_by_frame"])
    ]
    rows.append([name, f"{one['information_preserved']:.4f}", *by_frame])
  return header, rows


COMMANDS = commands.table_commands(TABLE) | {
  "initial": commands.Command(
    (*commands.WHICH_RUNS, "data_dir", "publish"), initial
  ),
}


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return commands.main(COMMANDS, __doc__, argv)
