"""Tables of README.md that are not scores of rows: benchmarks and measurements.

Each function reads files in results/ and returns Markdown.
"""

import json
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from experiments import exposure, ivvae_ablation, ivvae_cache, mnist1d, tables
from pseudovideo import results

ROOT = pathlib.Path(__file__).parents[1]
BENCHMARKS = ROOT / "results" / "benchmarks"
DIGITS = ROOT / "results" / "diffusion" / "digits-small"
VIDEO_VAES = ROOT / "results" / "video_vae" / "cifar10-small"


# Header of a column, what it says of a row.
Column = tuple[str, Callable[[Mapping[str, Any]], str]]


def _cell(field: str, style: str) -> Callable[[Mapping[str, Any]], str]:
  """A number in a format, a dash where it was not measured."""
  return lambda row: (
    style.format(row[field]) if field in row else tables.NOTHING
  )


def _benchmark(name: str, columns: Sequence[Column], note: str) -> str:
  """The table of a file of `benchmarks.rows`.

  Args:
    name: of the file, without `_cpu.json`.
    columns: behind the names of the rows.
    note: below, with `about` the machine, `peer` the source of its times, and
      any field of the file.
  """
  found = json.loads((BENCHMARKS / f"{name}_cpu.json").read_text())
  rows = [
    [label, *(say(row) for _, say in columns)]
    for label, row in found["values"].items()
  ]
  about = found["provenance"]
  machine = (
    f"float32, {about['device']['kind']}, {about['host']['cores']} cores, jax "
    f"{about['packages']['jax']}"
  )
  fields = {k: v for k, v in found.items() if isinstance(v, int | str)}
  below = note.format(
    about=machine, peer=f"PyTorch: {found['peer']['source']}", **fields
  )
  header = ["", *(title for title, _ in columns)]
  return f"{tables.as_markdown(header, rows)}\n\n{below}"


def augmentation_costs() -> str:
  """The table of `python -m benchmarks.augmentations --out=...`."""
  found = json.loads((BENCHMARKS / "augmentations_cpu.json").read_text())
  header = ["", "frames", "us per image", "us per frame"]
  rows = [
    [
      row["name"],
      str(row["frames"]),
      f"{row['us_per_image']:.0f}",
      f"{row['us_per_frame']:.1f}",
    ]
    for row in found["rows"]
  ]
  return (
    f"{tables.as_markdown(header, rows)}\n\n"
    f"{found['batch']} images of {found['size']}x{found['size']}x3, "
    f"{found['device']}, two cores."
  )


def diffusion_steps() -> str:
  """The table of `python -m benchmarks.diffusion_step --out=...`."""
  return _benchmark(
    "diffusion_step",
    (
      ("parameters", _cell("parameters", "{:,}")),
      ("batch", _cell("batch", "{}")),
      ("update, s", _cell("train_seconds", "{:.3f}")),
      ("of PyTorch's", _cell("train_seconds_over_peer", "{:.2f}")),
      ("denoising step, s", _cell("denoise_seconds", "{:.3f}")),
      ("of PyTorch's", _cell("denoise_seconds_over_peer", "{:.2f}")),
      ("GFLOP/s", _cell("train_gflops_per_second", "{:.0f}")),
      ("compile, s", _cell("train_compile_seconds", "{:.0f}")),
      ("pseudo videos", _cell("pseudo_video_share", "{:.2%}")),
      ("update, GB", _cell("train_xla_memory_gb", "{:.2f}")),
    ),
    "Medians of {repeats}, {about}; images of 32x32x3; a row is a task and the "
    "base width of its network, 128 is the paper's; GB are arguments and "
    "temporary arrays as XLA plans them. {peer}, measured once, elsewhere in "
    "time.",
  )


def tokenizer_steps() -> str:
  """The table of `python -m benchmarks.tokenizer_step --out=...`."""
  return _benchmark(
    "tokenizer_step",
    (
      ("parameters", _cell("parameters", "{:,}")),
      ("update, CPU-s", _cell("train_cpu_seconds", "{:.2f}")),
      ("of PyTorch's", _cell("train_cpu_seconds_over_peer", "{:.2f}")),
      ("GFLOP", _cell("train_gflop", "{:.0f}")),
      ("compile, s", _cell("train_compile_seconds", "{:.0f}")),
      ("tokens/s encoded", _cell("tokens_per_second", "{:.0f}")),
      ("per CPU-s", _cell("tokens_per_cpu_second", "{:.0f}")),
    ),
    "Batches of {batch}, medians of {repeats}, {about}, beside other work; "
    "{peer}.",
  )


def token_sampling() -> str:
  """The table of `python -m benchmarks.token_sampling --out=...`."""
  return _benchmark(
    "token_sampling",
    (
      ("parameters", _cell("parameters", "{:,}")),
      ("CPU-s per grid", _cell("cpu_seconds_per_grid", "{:.3f}")),
      ("of PyTorch's", _cell("cpu_seconds_over_peer", "{:.2f}")),
      ("tokens per CPU-s", _cell("tokens_per_cpu_second", "{:,.0f}")),
      ("tokens/s", _cell("tokens_per_second", "{:,.0f}")),
      ("compile, s", _cell("compile_seconds", "{:.0f}")),
    ),
    "Medians of {repeats}, {about}, beside other work; {peer}.",
  )


def video_vaes() -> str:
  """The table of `python -m benchmarks.video_vae --out=...`."""
  return _benchmark(
    "video_vae",
    (
      ("parameters", _cell("parameters", "{:,}")),
      ("GFLOP", _cell("gflop", "{:,.2f}")),
      ("CPU-s", _cell("cpu_seconds", "{:.3f}")),
      ("of PyTorch's", _cell("cpu_seconds_over_peer", "{:.2f}")),
      ("memory, MB", _cell("resident_mb", "{:.0f}")),
      ("of PyTorch's", _cell("resident_mb_over_peer", "{:.2f}")),
    ),
    "`authors` and `small`: a clip of 17 frames of 64x64 and of 32x32, encoded "
    "and decoded; `pixels` and `latents`: one evaluation of the same video "
    "U-Net on 5x32x32x3 and on 2x8x8x8. Medians of {repeats}, {about}, beside "
    "other work; memory above the model; {peer}.",
  )


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


# What a preset is of -> a run of it, below results/.
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
  """What some runs of the preset small took."""
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


# Name -> what makes it.
TABLES = {
  "augmentation_cost": augmentation_costs,
  "diffusion_step": diffusion_steps,
  "expectations": expectations,
  "exposure": exposed,
  "inflated": inflated,
  "long_clips": long_clips,
  "sampling_budget": budgets,
  "signal_classifiers": signal_classifiers,
  "signal_videos": signal_videos,
  "token_sampling": token_sampling,
  "tokenizer_step": tokenizer_steps,
  "video_vae": video_vaes,
}
