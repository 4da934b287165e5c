"""Tables of README.md that are not scores of rows: measurements.

Each function reads files in results/ and returns Markdown.
"""

import json
import pathlib

import numpy as np

from experiments.publishing import benchmarks
from experiments.reporting import tables
from experiments.studies import exposure, ivvae_ablation, ivvae_cache
from experiments.studies.mnist1d import __main__ as mnist1d
from pseudovideo.runs import results

ROOT = pathlib.Path(__file__).parents[2]
DIGITS = ROOT / "results" / "diffusion" / "digits-small"
VIDEO_VAES = ROOT / "results" / "video_vae" / "cifar10-small"


def exposed() -> str:
  """The table of `python -m experiments.exposure --out=...`."""
  record = results.read(DIGITS / "exposure_high_order_4-seed0.json")
  scores = dict(record["metrics"])
  num = next(iter(scores.pop("generated").values()))["num_samples"]
  return (
    f"{tables.as_markdown(*exposure.table(scores))}\n\n"
    f"4 frames, high order, seed 0, {num:,} samples."
  )


def budgets() -> str:
  """The table of `python -m experiments.sampling_budget`."""
  record = results.read(DIGITS / "budget_one_frame-seed0.json")
  metric = record["metric"]
  header = ["", "evaluations", metric, "enough"]
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
  num = next(iter(record["metrics"]["generated"].values()))["num_samples"]
  return (
    f"{tables.as_markdown(header, rows)}\n\n"
    f"1 frame, seed 0, {num:,} samples with each of "
    f"{len(record['seeds']['sample'])} sampling seeds: mean and standard "
    f"error. {' '.join(record['answers'])}"
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
    "tokenizer/cifar10-small/recommended_8_raw-seed0.json"
  ),
  "next tokens, 64, cifar10": (
    "tokenizer/cifar10-small/next_recommended_1_raw-seed0.json"
  ),
  "next tokens, 256, cifar10": (
    "tokenizer/cifar10-small/next_recommended_8_raw-seed0.json"
  ),
  "image VAE, cifar10": "video_vae/cifar10-small/image_4-seed0.json",
  "IV-VAE, 5 frames, cifar10": "video_vae/cifar10-small/iv_vae-seed0.json",
}


def expectations() -> str:
  """Size, time and speed of some runs of the preset small."""
  header = [
    "", "parameters", "updates", "images per update", "training, s",
    "images/s", "device",
  ]  # fmt: skip
  rows = []
  for label, file in RUNS.items():
    record = results.read(ROOT / "results" / file)
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
  return (
    f"{tables.as_markdown(header, rows)}\n\n"
    "Seconds with compilation, logs and checkpoints; cpu is two cores beside "
    "other work."
  )


def inflated() -> str:
  """The table of `python -m experiments initial ivvae_ablation`."""
  record = json.loads((VIDEO_VAES / ivvae_ablation.INITIAL).read_text())
  found = record["videos"]
  (num,) = {one["num_videos"] for one in found.values()}
  return (
    f"{tables.as_markdown(*ivvae_ablation.initial_table(found))}\n\n"
    f"{num} held-out pseudo videos; frame 0 is the clean image."
  )


def long_clips() -> str:
  """The table of `python -m experiments.ivvae_cache run`."""
  path = ROOT / "results" / "ivvae_cache" / "small.json"
  record = json.loads(path.read_text())
  lines = tables.as_markdown(*ivvae_cache.table(record))
  return f"{lines}\n\n{ivvae_cache.note(record)}"


def _signals():
  work = mnist1d.Work("small", str(ROOT / "results"))
  return mnist1d.collect(work, work.root)


def signal_classifiers() -> str:
  """The first table of `python -m experiments.mnist1d report`."""
  found = _signals()
  lines = tables.as_markdown(*mnist1d.classifier_table(found))
  return "\n\n".join([lines, *mnist1d.notes(found)])


def signal_videos() -> str:
  """The second table of `python -m experiments.mnist1d report`."""
  return tables.as_markdown(*mnist1d.video_table(_signals()))


# Name of a table -> the function that makes it.
TABLES = benchmarks.TABLES | {
  "expectations": expectations,
  "exposure": exposed,
  "inflated": inflated,
  "long_clips": long_clips,
  "sampling_budget": budgets,
  "signal_classifiers": signal_classifiers,
  "signal_videos": signal_videos,
}
