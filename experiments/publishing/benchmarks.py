"""Tables of README that come from what `benchmarks` measured."""

import json
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks import fits
from experiments.reporting import tables

BENCHMARKS = pathlib.Path(__file__).parents[2] / "results" / "benchmarks"

# Header of a column, and a function from a row to its cell.
Column = tuple[str, Callable[[Mapping[str, Any]], str]]


def _cell(field: str, style: str) -> Callable[[Mapping[str, Any]], str]:
  """A column's cells: a number in a format, a dash where it is not there."""
  return lambda row: (
    style.format(row[field]) if field in row else tables.NOTHING
  )


def _benchmark(name: str, columns: Sequence[Column], note: str) -> str:
  """The table of a file of `benchmarks.rows`.

  Args:
    name: name of the file, without `_cpu.json`.
    columns: columns behind the names of the rows.
    note: sentence below the table, with `{about}` for the machine, `{peer}` for
      the source of the other times, and any field of the file.
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
    "Batches of {batch}, medians of {repeats}, {about}, beside other work, "
    "with every layer computed again for its gradient (`model.remat=True`, "
    "then the only way); {peer}.",
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


def devices_needed() -> str:
  """The table of `python -m benchmarks.fits --out=...`."""
  found = json.loads((BENCHMARKS / "fits.json").read_text())
  return (
    "\n".join(fits.lines(found["values"])) + "\n\n"
    "GiB on one device, for the published batch; then the devices needed "
    f"without / with `model.remat`, {found['usable']:.0%} of their memory in "
    "use, the state copied."
  )


def bytes_per_device() -> str:
  """The table of `python -m benchmarks.state_memory --out=...`."""
  paper, small = (
    json.loads((BENCHMARKS / f"state_memory_{name}.json").read_text())["values"]
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
  return (
    f"{tables.as_markdown(header, rows)}\n\n"
    "10^6 bytes on each device; the paper's video diffusion of 4 frames on "
    "CIFAR-10, and the small heat HVAE of digits, whose plan is XLA:CPU's."
  )


TABLES = {
  "augmentation_cost": augmentation_costs,
  "bytes_per_device": bytes_per_device,
  "devices_needed": devices_needed,
  "diffusion_step": diffusion_steps,
  "token_sampling": token_sampling,
  "tokenizer_step": tokenizer_steps,
  "video_vae": video_vaes,
}
