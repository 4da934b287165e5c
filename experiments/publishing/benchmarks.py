"""Tables of what `benchmarks` measured: time, memory, survival."""

import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks import fits
from benchmarks.growth import exponents
from experiments.publishing.sheets import Sheet
from experiments.reporting import tables
from pseudovideo.runs import results

RESULTS = pathlib.Path(__file__).parents[2] / "results"
BENCHMARKS = RESULTS / "benchmarks"

# Header of a column, and a function from a row to its cell.
Column = tuple[str, Callable[[Mapping[str, Any]], str]]


def _cell(field: str, style: str) -> Callable[[Mapping[str, Any]], str]:
  """A column's cells: a number in a format, a dash where it is not there."""
  return lambda row: (
    style.format(row[field]) if field in row else tables.NOTHING
  )


def _benchmark(
  title: str,
  name: str,
  columns: Sequence[Column],
  note: str,
  shown: Sequence[str] = (),
) -> Sheet:
  """The table of a file of `benchmarks.rows`.

  Args:
    title: title of the table.
    name: name of the file, without `_cpu.json`.
    columns: columns behind the names of the rows.
    note: sentence below the table, with `{about}` for the machine and any
      field of the file.
    shown: columns that a page shows; all if empty.
  """
  found = results.read_json(BENCHMARKS / f"{name}_cpu.json")
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
  below = note.format(about=machine, **fields)
  header = ["", *(column for column, _ in columns)]
  return Sheet(title, header, rows, notes=[below], shown=shown)


def augmentation_costs() -> Sheet:
  """The table of `python -m benchmarks.augmentations --out=...`."""
  found = results.read_json(BENCHMARKS / "augmentations_cpu.json")
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
  return Sheet(
    "Construction of pseudo videos",
    header,
    rows,
    notes=[
      f"Pseudo videos: {found['batch']} images of {found['size']}x"
      f"{found['size']}x3, {found['device']}, two cores. The last two rows are "
      "what the package does not do: blur by convolutions one after another, "
      "and noise from one key for the batch."
    ],
  )


def diffusion_steps() -> Sheet:
  """The table of `python -m benchmarks.diffusion_step --out=...`."""
  return _benchmark(
    "Video diffusion: an update and a denoising step",
    "diffusion_step",
    (
      ("parameters", _cell("parameters", "{:,}")),
      ("batch", _cell("batch", "{}")),
      ("update, s", _cell("train_seconds", "{:.3f}")),
      ("denoising step, s", _cell("denoise_seconds", "{:.3f}")),
      ("GFLOP/s", _cell("train_gflops_per_second", "{:.0f}")),
      ("compile, s", _cell("train_compile_seconds", "{:.0f}")),
      ("pseudo videos", _cell("pseudo_video_share", "{:.2%}")),
      ("update, GB", _cell("train_xla_memory_gb", "{:.2f}")),
    ),
    "Medians of {repeats}, {about}; images of 32x32x3; a row is a task and the "
    "base width of its network, 128 is the paper's; GB are arguments and "
    "temporary arrays as XLA plans them.",
    shown=(
      *("parameters", "batch", "update, s", "denoising step, s"),
      *("compile, s", "update, GB"),
    ),
  )


def tokenizer_steps() -> Sheet:
  """The table of `python -m benchmarks.tokenizer_step --out=...`."""
  return _benchmark(
    "Tokenizers: an update and encoding",
    "tokenizer_step",
    (
      ("parameters", _cell("parameters", "{:,}")),
      ("update, CPU-s", _cell("train_cpu_seconds", "{:.2f}")),
      ("GFLOP", _cell("train_gflop", "{:.0f}")),
      ("compile, s", _cell("train_compile_seconds", "{:.0f}")),
      ("tokens/s encoded", _cell("tokens_per_second", "{:.0f}")),
      ("per CPU-s", _cell("tokens_per_cpu_second", "{:.0f}")),
    ),
    "Batches of {batch}, medians of {repeats}, {about}, beside other work, "
    "with every layer computed again for its gradient (`model.remat=True`, "
    "then the only way).",
  )


def token_sampling() -> Sheet:
  """The table of `python -m benchmarks.token_sampling --out=...`."""
  return _benchmark(
    "Models of tokens: drawing a grid",
    "token_sampling",
    (
      ("parameters", _cell("parameters", "{:,}")),
      ("CPU-s per grid", _cell("cpu_seconds_per_grid", "{:.3f}")),
      ("tokens per CPU-s", _cell("tokens_per_cpu_second", "{:,.0f}")),
      ("tokens/s", _cell("tokens_per_second", "{:,.0f}")),
      ("compile, s", _cell("compile_seconds", "{:.0f}")),
    ),
    "Grids of 64, 256 and 576 tokens: 1, 8 and 18 frames, with the "
    "networks of Tables 8 and 9. Medians of {repeats}, {about}, beside other "
    "work; masked ones with decoding to pixels, 18 passes.",
  )


def video_vaes() -> Sheet:
  """The table of `python -m benchmarks.video_vae --out=...`."""
  return _benchmark(
    "Video VAEs: encoding and decoding",
    "video_vae",
    (
      ("parameters", _cell("parameters", "{:,}")),
      ("GFLOP", _cell("gflop", "{:,.2f}")),
      ("CPU-s", _cell("cpu_seconds", "{:.3f}")),
      ("memory, MB", _cell("resident_mb", "{:.0f}")),
    ),
    "`authors` and `small`: a clip of 17 frames of 64x64 and of 32x32, encoded "
    "and decoded; `pixels` and `latents`: one evaluation of the same video "
    "U-Net on 5x32x32x3 and on 2x8x8x8. Medians of {repeats}, {about}, beside "
    "other work; memory above the model.",
  )


def devices_needed() -> Sheet:
  """The table of `python -m benchmarks.fits --out=...`."""
  found = results.read_json(BENCHMARKS / "fits.json")
  header, lines = fits.table(found["values"])
  return Sheet(
    "Devices that hold the paper presets, estimated",
    header,
    lines,
    notes=[
      "GiB on one device, for the published batch; then the devices needed "
      f"without / with `model.remat`, {found['usable']:.0%} of their memory in "
      "use, the state copied."
    ],
    shown=(*header[1:6], header[6], header[-2]),
  )


def bytes_per_device() -> Sheet:
  """The table of `python -m benchmarks.state_memory --out=...`."""
  paper, small = (
    results.read_json(BENCHMARKS / f"state_memory_{name}.json")["values"]
    for name in ("diffusion", "hvae_cpu")
  )
  header = ["devices", "state", "estimate", "small: state", "estimate", "plan"]
  rows = [
    [
      name,
      f"{paper[name]['state_mb']:,.0f}",
      f"{paper[name]['estimate_mb']:,.0f}",
      f"{small[name]['state_mb']:.1f}",
      f"{small[name]['estimate_mb']:.1f}",
      f"{small[name]['planned_mb']:.1f}",
    ]
    for name in paper
  ]
  return Sheet(
    "Bytes of an update on each device",
    header,
    rows,
    notes=[
      "10^6 bytes on each device; the paper's video diffusion of 4 frames on "
      "CIFAR-10, and the small heat HVAE of digits, whose plan is XLA:CPU's."
    ],
  )


def train_steps() -> Sheet:
  """The table of `python -m benchmarks.train_step --out=...`."""
  files = {
    "digits, heat": "heat",
    "digits, learned": "learned",
    "mnist, heat": "mnist_heat",
    "mnist, learned": "mnist_learned",
  }
  columns = {
    "update, s": ("seconds", "{:.3f}"),
    "images/s": ("images_per_second", "{:,.0f}"),
    "GFLOP": ("gflop", "{:.2f}"),
    "GFLOP/s": ("gflops_per_second", "{:.0f}"),
    "compile, s": ("compile_seconds", "{:.1f}"),
    "sampled images/s": ("sampled_images_per_second", "{:.0f}"),
  }
  found = {
    label: results.read_json(BENCHMARKS / f"train_step_{file}_cpu.json")
    for label, file in files.items()
  }
  return Sheet(
    "HVAEs: an update",
    ["", *columns],
    [
      [label, *(_cell(*column)(one["values"]) for column in columns.values())]
      for label, one in found.items()
    ],
    notes=["HVAEs: preset small, float32, two idle cores, medians."],
  )


def convolutions() -> Sheet:
  """The table of `python -m benchmarks.convolutions --out=...`."""
  columns = [("taken", lambda row: "yes" if row["taken"] else "no")]
  for name in ("forward", "input_gradient", "weight_gradient"):
    for kind in ("plain", "winograd"):
      label = f"{name.replace('_', ' ')}, {kind}"
      columns.append((label, _cell(f"{name}_{kind}", "{:.0f}")))
  return _benchmark(
    "3x3 convolutions, GFLOP/s",
    "convolutions",
    columns,
    "Rows are batch, side and channels; GFLOP of the plain form. Best of "
    "{repeats}, {about}.",
  )


def peers() -> Sheet:
  """The table of `python -m benchmarks.peers --out=...`."""
  found = results.read_json(BENCHMARKS / "peers_cpu.json")
  about, packages = found["provenance"], found["packages"]
  lines = [
    [
      f"{row}, {name}",
      threads,
      f"{pair['ours_seconds']:.3g}",
      f"{pair['peer_seconds']:.3g}",
      f"{pair['ratio']:.2f} ({pair['ratio_min']:.2f} to "
      f"{pair['ratio_max']:.2f})",
      pair["peer"],
    ]
    for row, by_threads in found["values"].items()
    for threads, by_name in by_threads.items()
    for name, pair in by_name.items()
  ]
  versions = ", ".join(f"{name} {text}" for name, text in packages.items())
  return Sheet(
    "Our networks and PyTorch's, in one run",
    ["", "threads", "ours, s", "PyTorch, s", "ratio", "PyTorch's fastest way"],
    lines,
    notes=[
      f"Medians of {found['repeats']} alternate calls; the ratio is that of "
      "each two calls, median (least to most), below 1 where ours is faster. "
      f"float32, {about['device']['kind']}, jax {about['packages']['jax']}, "
      f"{versions}."
    ],
  )


def growth() -> Sheet:
  """The table of `python -m benchmarks.growth --out=...`."""
  found = results.read_json(BENCHMARKS / "growth.json")
  values, about = found["values"], found["provenance"]
  header, lines = exponents.PAGE_HEADER, exponents.page(values)
  return Sheet(
    "Growth of time and memory",
    exponents.HEADER,
    exponents.table(values),
    notes=[
      "Exponents of processor seconds and of XLA's temporary arrays between "
      "the two largest sizes; in brackets those of the operations in the "
      "program as it is written; bold: faster than the mathematics. float32, "
      f"{about['device']['kind']}, one core, jax "
      f"{about['packages']['jax']}, least of {found['repeats']} times of calls."
    ],
    page=(header, lines),
  )


def metrics() -> Sheet:
  """The table of `python -m benchmarks.metrics --out=...`."""
  found = results.read_json(BENCHMARKS / "metrics_cpu.json")
  return Sheet(
    "Metrics: time and memory",
    ["row", "what", "value"],
    [
      [row, name.replace("_", " "), f"{value:,.4g}"]
      for row, values in found["values"].items()
      for name, value in values.items()
    ],
  )


def costs() -> Sheet:
  """The table of `python -m benchmarks.costs --out=...`."""
  found = results.read_json(BENCHMARKS / "costs.json")
  columns = {
    "parameters": "{:,}",
    "batch": "{}",
    "updates": "{:,}",
    "gflop": "{:,.0f}",
    "hours": "{:,.1f}",
  }
  titles = {"gflop": "GFLOP per update", "hours": "hours, estimated"}
  return Sheet(
    "Costs of the preset paper",
    ["", *(titles.get(name, name) for name in columns)],
    [
      [label, *(style.format(row[name]) for name, style in columns.items())]
      for label, row in found["values"].items()
    ],
    notes=[
      "Hours = updates x FLOPs / "
      f"{found['sustained_flops'] / 1e12:.0f} TFLOP/s, the same assumed rate "
      "of one accelerator for every row. Only matrix products and convolutions "
      "are counted. Data, first stages and evaluations come on top."
    ],
  )


TABLES = {
  "costs": costs,
  "train_step": train_steps,
  "diffusion_step": diffusion_steps,
  "tokenizer_step": tokenizer_steps,
  "token_sampling": token_sampling,
  "video_vae": video_vaes,
  "convolutions": convolutions,
  "peers": peers,
  "growth": growth,
  "augmentation_cost": augmentation_costs,
  "metrics_cost": metrics,
  "bytes_per_device": bytes_per_device,
  "devices_needed": devices_needed,
}
