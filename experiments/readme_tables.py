"""Tables of README.md that are not scores of rows: benchmarks and measurements.

Each function reads files in results/ and returns Markdown.
"""

import json
import pathlib

import numpy as np

from experiments import exposure, ivvae_ablation, ivvae_cache, mnist1d, tables
from pseudovideo import results

ROOT = pathlib.Path(__file__).parents[1]
BENCHMARKS = ROOT / "results" / "benchmarks"
DIGITS = ROOT / "results" / "diffusion" / "digits-small"
VIDEO_VAES = ROOT / "results" / "video_vae" / "cifar10-small"


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
  found = json.loads((BENCHMARKS / "diffusion_step_cpu.json").read_text())
  header = [
    "", "batch", "update, s", "of PyTorch's", "denoising step, s",
    "of PyTorch's", "GFLOP/s", "compile, s", "pseudo videos",
  ]  # fmt: skip
  rows = [
    [
      name.replace("_", ", base "),
      str(row["batch"]),
      f"{row['train_seconds']:.3f}",
      f"{row['train_seconds_over_peer']:.2f}",
      f"{row['denoise_seconds']:.3f}",
      f"{row['denoise_seconds_over_peer']:.2f}",
      f"{row['train_gflops_per_second']:.0f}",
      f"{row['train_compile_seconds']:.0f}",
      f"{row['pseudo_video_share']:.2%}"
      if "pseudo_video_share" in row
      else tables.NOTHING,
    ]
    for name, row in found["values"].items()
  ]
  about = found["provenance"]
  return (
    f"{tables.as_markdown(header, rows)}\n\n"
    f"Medians of {found['repeats']}, {found['dtype']}, "
    f"{about['device']['kind']}, {about['host']['cores']} cores, jax "
    f"{about['packages']['jax']}; PyTorch: {found['peer']['source']}, measured "
    "once, elsewhere in time."
  )


def tokenizer_steps() -> str:
  """The table of `python -m benchmarks.tokenizer_step --out=...`."""
  found = json.loads((BENCHMARKS / "tokenizer_step_cpu.json").read_text())
  header = [
    "", "parameters", "update, CPU-s", "of PyTorch's", "GFLOP", "compile, s",
    "tokens/s encoded", "per CPU-s",
  ]  # fmt: skip
  rows = [
    [
      name,
      f"{row['parameters']:,}",
      f"{row['train_cpu_seconds']:.2f}",
      f"{row['train_cpu_seconds_over_peer']:.2f}",
      f"{row['train_gflop']:.0f}",
      f"{row['train_compile_seconds']:.0f}",
      f"{row['tokens_per_second']:.0f}",
      f"{row['tokens_per_cpu_second']:.0f}",
    ]
    for name, row in found["values"].items()
  ]
  about = found["provenance"]
  return (
    f"{tables.as_markdown(header, rows)}\n\n"
    f"Batches of {found['batch']}, medians of {found['repeats']}, float32, "
    f"{about['device']['kind']}, {about['host']['cores']} cores beside other "
    f"work, jax {about['packages']['jax']}; PyTorch: {found['peer']['source']}."
  )


def token_sampling() -> str:
  """The table of `python -m benchmarks.token_sampling --out=...`."""
  found = json.loads((BENCHMARKS / "token_sampling_cpu.json").read_text())
  header = [
    "", "parameters", "grids", "CPU-s per grid", "of PyTorch's",
    "tokens per CPU-s", "tokens/s", "compile, s",
  ]  # fmt: skip
  rows = [
    [
      name,
      f"{row['parameters']:,}",
      str(found["batch"][name]),
      f"{row['cpu_seconds_per_grid']:.3f}",
      f"{row['cpu_seconds_over_peer']:.2f}"
      if "cpu_seconds_over_peer" in row
      else tables.NOTHING,
      f"{row['tokens_per_cpu_second']:,.0f}",
      f"{row['tokens_per_second']:,.0f}",
      f"{row['compile_seconds']:.0f}",
    ]
    for name, row in found["values"].items()
  ]
  about = found["provenance"]
  return (
    f"{tables.as_markdown(header, rows)}\n\n"
    f"Medians of {found['repeats']}, float32, {about['device']['kind']}, "
    f"{about['host']['cores']} cores beside other work, jax "
    f"{about['packages']['jax']}; PyTorch: {found['peer']['source']}."
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


def planned_memory() -> str:
  """What XLA plans for updates of the published networks of diffusion."""
  found = json.loads((BENCHMARKS / "diffusion_step_cpu.json").read_text())
  header = ["", "parameters", "batch", "update, GB", "denoising step, GB"]
  rows = [
    [
      name.replace("_", ", base "),
      f"{row['parameters']:,}",
      str(row["batch"]),
      f"{row['train_xla_memory_gb']:.2f}",
      f"{row['denoise_xla_memory_gb']:.2f}",
    ]
    for name, row in found["values"].items()
  ]
  return (
    f"{tables.as_markdown(header, rows)}\n\n"
    "Arguments and temporary arrays as XLA plans them for a CPU, images of "
    "32x32x3. The paper's batch of 32 takes more; no preset `paper` was run."
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


def video_vaes() -> str:
  """The table of `python -m benchmarks.video_vae --out=...`."""
  found = json.loads((BENCHMARKS / "video_vae_cpu.json").read_text())
  header = [
    "", "shape", "parameters", "GFLOP", "CPU-s", "of PyTorch's", "memory, MB",
    "of PyTorch's",
  ]  # fmt: skip

  def ratio(row, name):
    value = row.get(f"{name}_over_peer")
    return tables.NOTHING if value is None else f"{value:.2f}"

  rows = [
    [
      name,
      "x".join(map(str, found["shapes"][name])),
      f"{row['parameters']:,}",
      f"{row['gflop']:.3g}",
      f"{row['cpu_seconds']:.3f}",
      ratio(row, "cpu_seconds"),
      f"{row['resident_mb']:.0f}",
      ratio(row, "resident_mb"),
    ]
    for name, row in found["values"].items()
  ]
  about = found["provenance"]
  return (
    f"{tables.as_markdown(header, rows)}\n\n"
    f"`authors` and `small`: encoding and decoding of one clip; `pixels` and "
    f"`latents`: one evaluation of the same video U-Net. Repeats: "
    f"{found['repeats']}; float32, {about['device']['kind']}, "
    f"{about['host']['cores']} cores beside other work, jax "
    f"{about['packages']['jax']}; memory above the model; PyTorch: "
    f"{found['peer']['source']}."
  )


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
  "planned_memory": planned_memory,
  "sampling_budget": budgets,
  "signal_classifiers": signal_classifiers,
  "signal_videos": signal_videos,
  "token_sampling": token_sampling,
  "tokenizer_step": tokenizer_steps,
  "video_vae": video_vaes,
}
