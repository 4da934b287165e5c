"""The cost of errors in earlier frames for the image (Remark 4.2).

  python -m experiments.exposure --workdir=RUN [--num_samples=1000] [--out=FILE]

A video model was trained on true earlier frames, and samples from its own.
This scores the last frame when the frames of no stage, of the first stage, and
so on, are taken from real pseudo videos of training images, and
the model generates the others. The first line is ordinary sampling; the fewer
frames the model makes, the more of the real image it is shown.
"""

import pathlib
import sys
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from absl import flags

from experiments.reporting import tables
from pseudovideo import data, errors, keys, pixels, runs
from pseudovideo.evaluation import evaluate, scoring
from pseudovideo.files import writable
from pseudovideo.runs import results
from pseudovideo.terminal import command_line, run_flags

FILE = "exposure.json"


def define_flags() -> flags.FlagValues:
  """Defines the flags of the command."""
  values = flags.FlagValues()
  run_flags.define(values)
  flags.DEFINE_integer(
    "num_samples",
    None,
    "Draw so many samples for each line; the config's if absent.",
    flag_values=values,
  )
  flags.DEFINE_string(
    "out",
    None,
    f"Write the scores to this JSON file; WORKDIR/{FILE} if absent.",
    flag_values=values,
  )
  return values


def last_frames(run: runs.Run, first: int, num: int) -> np.ndarray:
  """(num, H, W, C) uint8: stages from `first` on are the model's.

  Args:
    run: a run of the task `video_diffusion`.
    first: index of the stage that the model begins with.
    num: number of videos; their real frames are of training images at
      even distances.
  """
  task, size = run.task, min(num, run.config.evaluate.batch_size)
  images = data.spread(run.image_set.train_images, num)
  key = jax.random.key(run.config.evaluate.seed)

  @jax.jit
  def draw(params, images, rows):
    video = task.pseudo_video(
      params, run.extra, images, key=keys.named(rows, "pseudo_videos")
    )
    video = task.complete(params, video, first, key=keys.named(rows, "samples"))
    return pixels.quantize(video[:, -1], task.value_range)

  found = []
  for start in range(0, num, size):
    places = np.arange(start, start + size)
    rows = keys.example_keys(key, size, start)
    batch = images[places % len(images)]
    found.append(pixels.checked(draw(run.params, batch, rows), start))
  return np.concatenate(found)[:num]


def measure(run: runs.Run, num: int) -> dict[str, dict[str, Any]]:
  """Scores by the number of real frames, "0", ..., and of held-out data.

  Args:
    run: a run of the task `video_diffusion`.
    num: number of samples for each score, at least 2.

  Returns:
    Number of real frames, as text, or "real" -> metric -> its record.
  """
  networks = evaluate.networks_of(run)
  scores = {}
  for stage in range(len(run.task.stages)):
    known = run.task.stages[stage][1][0]
    both = scoring.score(
      last_frames(run, stage, num),
      run.image_set,
      networks,
      num_samples=num,
      seed=run.config.evaluate.seed,
      binarize=run.config.data.binarize,
    )
    scores[str(known)] = both["generated"]
    scores["real"] = both["real"]
  return scores


def record(run: runs.Run, scores: dict[str, Any]) -> dict[str, Any]:
  """The record that is written; its `generated` is ordinary sampling."""
  return {
    "title": f"Exposure of {run.config.title}",
    "metrics": {"generated": scores["0"], **scores},
    "seeds": {
      "train": run.config.train.seed,
      "sample": run.config.evaluate.seed,
    },
    "network_evaluations": run.task.network_evaluations,
    "wall_seconds": {},
    **results.origin(run),
  }


def table(scores: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
  """One row per number of real frames, the held-out data last."""
  names = list(scores["0"])
  labels = {
    which: "held-out data" if which == "real" else f"{which} real frames"
    for which in sorted(scores)
  }
  rows = [
    [label, *(f"{scores[which][name]['value']:.3f}" for name in names)]
    for which, label in labels.items()
  ]
  return ["last frame after", *names], rows


def run(argv: Sequence[str]) -> int:
  """Measures, writes and prints; returns the exit code."""
  values = define_flags()
  command_line.parse_flags(argv, values, "The run has its own config")
  name = runs.saved_config(run_flags.workdir(values)).task
  if name != "video_diffusion":
    raise errors.UserError(
      "Only runs of the task 'video_diffusion' have earlier frames; "
      f"{values.workdir} is of {name!r}."
    )
  command_line.set_up()
  restored = runs.restore(
    values.workdir, step=values.step, data_dir=values.data_dir
  )
  num = values.num_samples
  if num is None:
    num = restored.config.evaluate.num_samples
  if num < 2:
    raise errors.UserError(f"--num_samples must be at least 2; got {num}.")
  out = pathlib.Path(values.out or restored.workdir / FILE)
  writable.check(out)
  scores = measure(restored, num)
  results.write(out, record(restored, scores))
  print(tables.as_text(*table(scores)))
  print(f"Scores are in {out}.")
  return 0


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return command_line.answer(run, argv, __doc__, define_flags())


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
