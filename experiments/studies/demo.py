"""The motivating experiment (Table 1, Figure 2) on digits: five minutes.

  make demo          or:  python -m experiments.demo [--preset=tiny]

Trains an HVAE whose encoder is the heat equation and one whose encoder is
learned, both with the same decoder network and for about the same time, samples
both, scores the last frames, prints a table and writes one page with pictures.
A model that is finished is not trained again.
"""

import pathlib
import sys
from collections.abc import Sequence
from typing import Any

from absl import flags

from configs import hvae
from experiments.reporting import tables
from experiments.running import work
from pseudovideo import data, errors, runs
from pseudovideo.config import parsing
from pseudovideo.evaluation import evaluate
from pseudovideo.report import composing, drawing, page
from pseudovideo.report import run as run_report
from pseudovideo.runs import metric_log, results, sample_files
from pseudovideo.terminal import command_line
from pseudovideo.training import loop

SHOWN = 64
SCORES = ("KID-efflite0", "FD-digitscls", "IS-digitscls", "nearest-train")
LABELS = {"heat": "pseudo-video encoder", "learned": "free encoder"}


def run_row(encoder: str, preset: str, workdir: pathlib.Path) -> dict[str, Any]:
  """Trains and scores one model, or finds it done; returns its results.

  Raises:
    Stopped: a signal came while it was training.
  """
  config = parsing.parse(hvae.get_config(f"encoder={encoder},preset={preset}"))
  outcome = work.refuse_stopped(loop.train(config, workdir))
  record = work.look(workdir, config, outcome.step).done
  if record is None or not _is_whole(record, workdir):
    record = evaluate.evaluate(runs.restore(workdir, config=config))
  return record


def _is_whole(record: dict[str, Any], workdir: pathlib.Path) -> bool:
  """Whether a table and pictures can be made; if not, says why."""
  try:
    with results.from_file(workdir / evaluate.RESULTS_FILE):
      _ = tables.score_table({"": record}), _caption({"": record})
    sample_files.load(workdir / sample_files.NAME)
  except errors.UserError as error:
    print(f"Scored again: {error}", file=sys.stderr)
    return False
  return True


def table(
  records: dict[str, dict[str, Any]],
) -> tuple[list[str], list[list[str]]]:
  """Header and rows: one per model, and the held-out data; of `SCORES`."""
  header, lines = tables.score_table(
    {LABELS[encoder]: record for encoder, record in records.items()}
  )
  scores = next(iter(records.values()))["metrics"]["generated"]
  places = [
    place
    for place, name in enumerate(header)
    if name in SCORES or name not in scores
  ]
  return [header[i] for i in places], [[r[i] for i in places] for r in lines]


def write_page(
  records: dict[str, dict[str, Any]], workdir: pathlib.Path
) -> pathlib.Path:
  """The report of both runs."""
  restored = {encoder: runs.restore(workdir / encoder) for encoder in records}
  drawn = {
    encoder: sample_files.load(workdir / encoder / sample_files.NAME)
    for encoder in records
  }
  report = page.Report(
    "Free encoder against pseudo-video encoder",
    "Two hierarchical VAEs with the same decoder network, trained on 1,437 "
    "handwritten digits for about the same time. For one of them the "
    "intermediate states are prescribed: blurred versions of the image.",
  )
  report.section("Scores")
  report.table(*table(records), caption=_caption(records))
  image_set = next(iter(restored.values())).image_set
  report.section("Samples", "Last frames as they come, none picked.")
  shown = {LABELS[e].capitalize(): drawn[e].images[:SHOWN] for e in records} | {
    "Held-out data": data.spread(image_set.test_images, SHOWN)
  }
  # Small enough for three grids side by side.
  scale = max(1, 32 // max(image_set.image_shape[:2]))
  grids = {
    label: drawing.grid(frames, scale=scale) for label, frames in shown.items()
  }
  report.figures([(picture, label) for label, picture in grids.items()])
  strip = drawing.film_strip(drawn["heat"].videos)
  whole = composing.poster([*grids.values()], strip)
  drawing.save_png(workdir / "picture.png", whole)
  for encoder, run in restored.items():
    report.section(f"Videos of the {LABELS[encoder]}")
    report.film_strip(
      evaluate.pseudo_videos(run),
      "Videos that the encoder makes of training images: from the last "
      "latent on the left to the image, the marked last frame.",
    )
    report.film_strip(
      drawn[encoder].videos, "Generated; the marked last frame is the sample."
    )
  for encoder in records:
    rows = metric_log.read_metrics(workdir / encoder)
    title = f"Curves of the {LABELS[encoder]}"
    run_report.add_curves(report, {"": rows}, title)
  for encoder, record in records.items():
    run_report.add_config(report, record["config"], f"Config: {encoder}")
  return report.write(workdir / "report.html")


def _caption(records: dict[str, dict[str, Any]]) -> str:
  own, *others = tables.feature_networks(next(iter(records.values())))
  light = "efflite0 is EfficientNet-Lite0, trained on ImageNet; "
  return (
    f"{light if others else ''}{own['name']} is the project's classifier, with "
    f"{100 * own['held_out_accuracy']:.1f}% accuracy on held-out digits. "
    "None of the scores is FID, and those of different networks cannot be "
    "compared. Distances are to the training split."
  )


def define_flags() -> flags.FlagValues:
  """Defines the flags of the command."""
  values = flags.FlagValues()
  flags.DEFINE_enum(
    "preset",
    "small",
    ["tiny", "small"],
    "Train both models at this size.",
    flag_values=values,
  )
  flags.DEFINE_string(
    "workdir", "runs/demo", "Keep both runs in this folder.", flag_values=values
  )
  return values


def run(argv: Sequence[str]) -> int:
  """The whole demo; returns the exit code."""
  values = define_flags()
  command_line.parse_flags(argv, values, "The demo has its own configs")
  command_line.set_up()
  workdir = pathlib.Path(values.workdir, values.preset)
  records = {}
  for i, encoder in enumerate(LABELS, 1):
    print(f"[{i}/{len(LABELS)}] HVAE with a {LABELS[encoder]}", flush=True)
    try:
      records[encoder] = run_row(encoder, values.preset, workdir / encoder)
    except work.Stopped as stop:
      print(command_line.stop_sentence(stop.outcome))
      return 128 + stop.outcome.stopped_by
  print(f"\n{tables.as_text(*table(records))}\n\n{_caption(records)}\n")
  print(f"Done. Open the report: {write_page(records, workdir).absolute()}")
  return 0


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return command_line.answer(run, argv, __doc__, define_flags())


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
