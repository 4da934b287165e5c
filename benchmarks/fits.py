"""Accelerators that hold the training of the paper presets: an estimate.

  python -m benchmarks.fits [--rows=NAME,...] [--out=FILE.json]

Nothing is compiled or allocated. Per device an update needs

  state        parameters, their average, Adam's moments and the task's own
               state: exact, from their shapes
  gradients    as large as the parameters
  activations  of the device's part of the published batch: the arrays that
               `jax.vjp` keeps until the gradient comes; with model.remat also
               what the largest block needs when it is computed again

The compiler fuses layers and keeps fewer activations, and it needs room for the
work itself: `python -m benchmarks.state_memory` has its plans beside this
estimate. A device is taken to hold an update that needs 90% of its memory. The
number of devices is the lowest power of two that divides the batch; their state
is copied, not cut.
"""

import sys
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import NamedTuple

from absl import flags

from benchmarks import rows, traced
from configs import (
  hvae,
  latent_diffusion,
  token_prior,
  tokenizer,
  video_diffusion,
  video_vae,
)
from pseudovideo.config import parsing
from pseudovideo.terminal import command_line

# GiB of each device. Of a TPU v3-8 the board has 8.
ACCELERATORS = {
  "TPU v3, v5e": 16,
  "RTX 4090": 24,
  "TPU v4, v6e": 32,
  "A100 40": 40,
  "A100 80, H100": 80,
  "TPU v5p": 95,
}
GIB = 2**30
USABLE = 0.9


class Row(NamedTuple):
  """A config file and its argument, and the same for its first stage."""

  file: ModuleType
  argument: str
  coder: ModuleType | None = None
  coder_argument: str = ""


ROWS = {
  "hvae_heat_mnist": Row(hvae, "dataset=mnist"),
  "hvae_heat_mnist_small": Row(hvae, "dataset=mnist,network=small"),
  "hvae_learned_mnist": Row(hvae, "dataset=mnist,encoder=learned"),
  "diffusion_1_cifar10": Row(video_diffusion, "dataset=cifar10,frames=1"),
  "diffusion_4_cifar10": Row(video_diffusion, "dataset=cifar10,frames=4"),
  "diffusion_8_cifar10": Row(video_diffusion, "dataset=cifar10,frames=8"),
  "diffusion_4_celeb_a": Row(video_diffusion, "dataset=celeb_a,frames=4"),
  "tokenizer_1_cifar10": Row(tokenizer, "dataset=cifar10,frames=1"),
  "tokenizer_8_cifar10": Row(tokenizer, "dataset=cifar10,frames=8"),
  "tokenizer_18_celeb_a": Row(tokenizer, "dataset=celeb_a,frames=18"),
} | {
  f"{order}_{frames}_{dataset}": Row(
    token_prior,
    f"dataset={dataset},order={order}",
    tokenizer,
    f"dataset={dataset},frames={frames}",
  )
  for order in token_prior.ORDERS
  for frames, dataset in ((8, "cifar10"), (18, "celeb_a"))
} | {
  "latents_17_cifar10": Row(
    latent_diffusion,
    "dataset=cifar10",
    video_vae,
    "dataset=cifar10,frames=17",
  ),
  "vae_1_cifar10": Row(video_vae, "dataset=cifar10,frames=1,network=image"),
  "vae_17_cifar10": Row(video_vae, "dataset=cifar10,frames=17"),
  "vae_17_celeb_a": Row(video_vae, "dataset=celeb_a,frames=17"),
  "tae_17_celeb_a": Row(video_vae, "dataset=celeb_a,frames=17,network=tae"),
}  # fmt: skip
PRESET = "paper"


def training(row: Row, *, remat: bool) -> traced.Training:
  """The training of a row, its blocks kept or computed again."""
  config = parsing.parse(row.file.get_config(with_preset(row.argument)))
  config = config.replaced("model", remat=remat)
  coder = row.coder and row.coder.get_config(with_preset(row.coder_argument))
  return traced.training(config, coder)


def with_preset(argument: str) -> str:
  """A config argument with the preset `PRESET`."""
  return f"{argument},preset={PRESET}"


def needed(
  fixed: int, kept: traced.Kept, batch_size: int, memory: float
) -> int:
  """The lowest number of devices on which an update fits; 0 if none does.

  Args:
    fixed: bytes on each device whatever its part of the batch.
    kept: bytes that the loss keeps of the batch.
    batch_size: size of the batch on all devices; their number is a power of two
      that divides it.
    memory: bytes of a device that can be used.
  """
  num = 1
  while batch_size % num == 0:
    if fixed + kept.of(batch_size // num) <= memory:
      return num
    num *= 2
  return 0


def measure(row: Row) -> rows.Found:
  """The estimate of a row.

  Returns:
    parameters and batch; in 2^30 bytes on one device state_gib, gradients_gib,
    activations_gib of the whole batch and remat_activations_gib;
    fsdp_state_gib, a device's part of a state cut over 8; and for each of
    `ACCELERATORS` the devices needed, with and without rematerialisation.
  """
  run = training(row, remat=False)
  alone, eight = (
    traced.state_bytes(run.state, traced.mesh_of(num), fsdp=num > 1)
    for num in (1, 8)
  )
  fixed = sum(alone.values())
  found = {
    "parameters": alone["params"] // 4,
    "batch": run.batch_size,
    "state_gib": (fixed - alone["gradients"]) / GIB,
    "fsdp_state_gib": (sum(eight.values()) - eight["gradients"]) / GIB,
    "gradients_gib": alone["gradients"] / GIB,
  }
  for prefix, kept in (
    ("", traced.kept(run)),
    ("remat_", traced.kept(training(row, remat=True))),
  ):
    found[f"{prefix}activations_gib"] = kept.of(run.batch_size) / GIB
    for name, gib in ACCELERATORS.items():
      devices = needed(fixed, kept, run.batch_size, USABLE * gib * GIB)
      found[f"{prefix}devices, {name}"] = devices
  return found


def table(
  found: Mapping[str, rows.Found],
) -> tuple[list[str], list[list[str]]]:
  """Header and rows: devices without / with rematerialisation."""
  head = ["", "parameters", "batch", "state", "activations", "with remat"]
  lines = []
  for name, row in found.items():
    cells = [name, f"{row['parameters']:,}", str(row["batch"])]
    for field in ("state_gib", "activations_gib", "remat_activations_gib"):
      cells.append(f"{row[field]:.1f}")
    for accelerator in ACCELERATORS:
      pair = [row[f"{p}devices, {accelerator}"] for p in ("", "remat_")]
      cells.append(" / ".join(str(num) if num else "no" for num in pair))
    lines.append(cells)
  return [*head, *ACCELERATORS], lines


def define_flags() -> flags.FlagValues:
  """Defines the flags of the command."""
  return rows.define_flags(ROWS, repeats=None)


def run(argv: Sequence[str]) -> int:
  """Estimates, prints, and writes a file if asked to; returns the exit code."""
  values = define_flags()
  chosen = rows.chosen(argv, values, ROWS, {})
  found = {name: measure(row) for name, row in chosen.items()}
  header, lines = table(found)
  for cells in (header, *lines):
    print(" | ".join(cells))
  rows.write(values, found, usable=USABLE, gib_of_devices=ACCELERATORS)
  return 0


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return command_line.answer(run, argv, __doc__, define_flags())


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
