"""Tables of measurements: of trained runs, of signals, of the theory."""

import functools
import pathlib

import numpy as np

from experiments.publishing.sheets import Sheet
from experiments.reporting import instruments
from experiments.studies import (
  exposure,
  ivvae_ablation,
  ivvae_cache,
  probe_ranking,
  theorem41,
)
from experiments.studies.mnist1d import __main__ as mnist1d
from experiments.studies.sensitivity import corruptions
from experiments.studies.sensitivity import table as instrument_table
from pseudovideo.runs import results

ROOT = pathlib.Path(__file__).parents[2]
RESULTS = ROOT / "results"
DIGITS = RESULTS / "diffusion" / "digits-small"
VIDEO_VAES = RESULTS / "video_vae" / "cifar10-small"


def exposed() -> Sheet:
  """The table of `python -m experiments.exposure --out=...`."""
  record = results.read(DIGITS / "exposure_high_order_4-seed0.json")
  record = instruments.named(record)
  scores = dict(record["metrics"])
  num = next(iter(scores.pop("generated").values()))["num_samples"]
  return Sheet(
    "Errors of earlier frames, 4 frames, high order, digits",
    *exposure.table(scores),
    notes=[f"Real frames: seed 0, {num:,} samples."],
  )


def budgets() -> Sheet:
  """The table of `python -m experiments.sampling_budget`."""
  record = results.read(DIGITS / "budget_one_frame-seed0.json")
  metric = record["metric"]
  scored = record["metrics"]["generated"]
  name = instruments.name_of(metric, scored[metric])
  header = ["", "evaluations", name, "enough"]
  rows = [
    [
      row["label"],
      f"{row['evaluations']:,}",
      f"{np.mean(values):.3f} \N{PLUS-MINUS SIGN} "
      f"{np.std(values, ddof=1) / len(values) ** 0.5:.3f}",
      row["verdict"],
    ]
    for row in sorted(record["settings"], key=lambda r: r["evaluations"])
    for values in [row["values"][metric]]
  ]
  num = scored[metric]["num_samples"]
  return Sheet(
    "Fewer evaluations, 1 frame, digits",
    header,
    rows,
    notes=[
      f"Fewer evaluations: seed 0, {num:,} samples with each of "
      f"{len(record['seeds']['sample'])} sampling seeds, mean and standard "
      f"error. {' '.join(record['answers'])}"
    ],
  )


# Label -> a run of the preset small, below results/.
RUNS = {
  "hvae, digits": "demo/heat.json",
  "hvae, mnist": "hvae/mnist-small/heat-seed0.json",
  "hvae, cifar10": "hvae_cifar10/heat_sigma_h_0.1.json",
  "image diffusion, digits": "diffusion/digits-small/one_frame-seed0.json",
  "video diffusion, 4 frames, digits": (
    "diffusion/digits-small/high_order_4-seed0.json"
  ),
  "video diffusion, 8 frames, digits": (
    "diffusion/digits-small/high_order_8-seed0.json"
  ),
  "tokenizer, 1 frame, cifar10": (
    "tokenizer/cifar10-small/recommended_1_raw-seed0.json"
  ),
  "tokenizer, 8 frames, cifar10": (
    "older/tokenizer/cifar10-small/recommended_8_raw-seed0.json"
  ),
  "next tokens, 64, cifar10": (
    "tokenizer/cifar10-small/next_recommended_1_raw-seed0.json"
  ),
  "next tokens, 256, cifar10": (
    "older/tokenizer/cifar10-small/next_recommended_8_raw-seed0.json"
  ),
  "image VAE, cifar10": "video_vae/cifar10-small/image_4-seed0.json",
  "IV-VAE, 5 frames, cifar10": "video_vae/cifar10-small/iv_vae-seed0.json",
}


def expectations() -> Sheet:
  """Size, time and speed of some runs of the preset small."""
  header = [
    "", "parameters", "updates", "images per update", "training, s",
    "images/s", "device",
  ]  # fmt: skip
  rows = []
  for label, file in RUNS.items():
    record = results.read(RESULTS / file)
    seconds = record["wall_seconds"]["train"]
    rows.append(
      [
        label,
        f"{record['num_parameters']:,}",
        f"{record['step']:,}",
        str(record["config"]["train"]["batch_size"]),
        f"{seconds:,.0f}",
        f"{record['images_seen'] / seconds:,.0f}",
        record["provenance"]["device"]["kind"],
      ]
    )
  return Sheet(
    "Runs of the preset small",
    header,
    rows,
    notes=[
      "Seconds with compilation, logs and checkpoints. A cpu is two cores that "
      "other programs shared: these seconds are upper bounds, some of them "
      "many times too long, and compare nothing."
    ],
  )


def inflated() -> Sheet:
  """The table of `python -m experiments initial ivvae_ablation`."""
  record = results.read_json(VIDEO_VAES / ivvae_ablation.INITIAL)
  found = record["videos"]
  (num,) = {one["num_videos"] for one in found.values()}
  return Sheet(
    "Video VAEs before their first update, cifar10",
    *ivvae_ablation.initial_table(found),
    notes=[f"{num} held-out pseudo videos; frame 0 is the clean image."],
  )


def long_clips() -> Sheet:
  """The table of `python -m experiments.ivvae_cache run`."""
  record = results.read_json(RESULTS / "ivvae_cache" / "small.json")
  return Sheet(
    "Long clips in pieces, IV-VAE",
    *ivvae_cache.table(record),
    notes=[ivvae_cache.note(record)],
    shown=("frames", "planned, MB", "device, MB", "CPU-s", "s", "frames off"),
  )


def _signals():
  work = mnist1d.Work("small", str(RESULTS))
  return mnist1d.collect(work, work.root)


def signal_classifiers() -> Sheet:
  """The first table of `python -m experiments.mnist1d report`."""
  found = _signals()
  return Sheet(
    "Classifiers of signals",
    *mnist1d.classifier_table(found),
    notes=mnist1d.notes(found),
  )


def signal_videos() -> Sheet:
  """The second table of `python -m experiments.mnist1d report`."""
  return Sheet("Pseudo videos of signals", *mnist1d.video_table(_signals()))


def theorem() -> Sheet:
  """The second table of `python -m experiments.theorem41`."""
  records = results.read_json(RESULTS / "theorem41.json")["errors"]
  return Sheet(
    "Theorem 4.1: minimal errors of every frame",
    *theorem41.frame_table(records),
    notes=[theorem41.sentence(records)],
  )


def ranking(name: str) -> Sheet:
  """A table of `python -m experiments.probe_ranking report`.

  Args:
    name: `digits`, beside our scores, or `cifar10`, beside the paper's.
  """
  found = probe_ranking.load(RESULTS / "probe" / f"{name}.json")
  score, entries = "paper FID", probe_ranking.papers(found)
  if name == "digits":
    score, entries = probe_ranking.ours(found, RESULTS, "small")
  return Sheet(
    f"What earlier frames save, {name}",
    *probe_ranking.table(entries, score),
    notes=[f"{name}: {text}" for text in probe_ranking.sentences(entries)],
  )


def sensitivity(name: str) -> Sheet:
  """A table of `python -m experiments report instruments`, of the largest sets.

  Args:
    name: name of the data set.
  """
  record = results.read_json(RESULTS / "instruments" / f"{name}.json")
  size = instrument_table.sizes(record)[-1]
  return Sheet(
    f"What scores see, {name}, sets of {size:,}",
    *instrument_table.of_size(record, size),
    notes=instrument_table.sentences(record),
    shown=corruptions.names(),
  )


def input_of_efflite0() -> Sheet:
  """The sides and scales of EfficientNet-Lite0's input."""
  record = results.read_json(RESULTS / "instruments" / "cifar10.json")
  first = record["inputs"][0]
  return Sheet(
    "Input of efflite0, cifar10",
    *instrument_table.of_inputs(record),
    notes=[
      f"Accuracy on {first['tested']:,} held-out images of a linear classifier "
      f"of the features, fitted to {first['labels']} labels; one choice of "
      "images."
    ],
  )


# Name of a table -> the function that makes it.
TABLES = {
  **{
    f"instruments_{name}": functools.partial(sensitivity, name)
    for name in ("digits", "mnist", "cifar10")
  },
  "instruments_input": input_of_efflite0,
  "expectations": expectations,
  "exposure": exposed,
  "inflated": inflated,
  "long_clips": long_clips,
  "probe_cifar10": lambda: ranking("cifar10"),
  "probe_digits": lambda: ranking("digits"),
  "sampling_budget": budgets,
  "signal_classifiers": signal_classifiers,
  "signal_videos": signal_videos,
  "theorem41": theorem,
}
