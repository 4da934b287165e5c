"""Our networks against PyTorch's: time of equal work, alternately in one run.

  python -m benchmarks.peers [--rows=image_32,video_32] [--threads=1,2] \\
      [--repeats=7] [--out=FILE.json]

  row              pair          peer
  image_32, _128   update        improved DDPM's U-Net, written here
  video_32, _128   denoise       flexible video diffusion's, written here
  tokenizer_8      update        phenaki-pytorch
  tokenizer_8_gan  update        phenaki-pytorch, with its discriminator
  iv_vae           reconstruct   IV-VAE, written here
  masked_256       passes        phenaki-pytorch
  next_256         grid          x-transformers
  inception        features      torch-fidelity

The U-Nets take 32x32x3 images at base width 32 or 128, in the batches of
`benchmarks.diffusion_step`; `denoise` is one evaluation. The tokenizer takes 2
videos of 8 frames, IV-VAE one clip of 17 frames of 64x64, Inception 16 images.
The priors make one grid of 256 tokens: the masked one in 18 passes whose inputs
are given, the other token by token with a cache. An update is a forward pass,
the loss, the gradient, Adam and the moving average, where training has one;
with a discriminator both networks are updated, with the gradient penalty.

Each pair has the same random weights and is compared before it is timed: equal
numbers of parameters, and outputs (of an update: the losses of the first three)
equal to 1e-4 of the largest, in float32. Only `next_256` is another network of
the same width, depth, heads and codes, whose outputs cannot be compared.
PyTorch runs eagerly, with the fastest of several ways, each tried three times:
memory formats, foreach or fused Adam, and such. torch.compile is not among
them: it compiled the smallest U-Net for minutes, and evaluated it no faster.

A row is measured in a process of its own, which may use as many cores as
--threads says: ours, PyTorch's, ours and so on, with pauses in which threads
come to rest. The ratio is our time over PyTorch's of each two calls, the median
(least to most); below 1, ours is faster. Processor seconds are of all threads
together; MB are the most that a call adds to the resident memory, on Linux.

The packages are the extra `peers`; rows whose package is missing are left out.
Where pip would choose PyTorch for CUDA, which is large and not needed, first
install the CPU builds of torch and torchvision as PyTorch's site says.
"""

import importlib.metadata
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from absl import flags

from benchmarks import rows
from benchmarks.peers import table
from pseudovideo import errors
from pseudovideo.terminal import command_line

COLUMNS = f"{'ours s':>9}{'peer s':>9}{'ours CPU':>10}{'peer CPU':>10}  ratio"


def define_flags() -> flags.FlagValues:
  """Defines the flags of the command."""
  values = rows.define_flags(table.ROWS, repeats=7)
  flags.DEFINE_string(
    "threads", "1,2", "Measure with so many threads, commas between.",
    flag_values=values,
  )  # fmt: skip
  return values


def _threads(text: str) -> list[int]:
  """--threads as numbers."""
  parts = text.split(",")
  if not all(x.isdecimal() and int(x) > 0 for x in parts):
    raise errors.UserError(
      "--threads must be positive numbers with commas between, such as 1,2; "
      f"got {errors.shown(text)}."
    )
  return [int(x) for x in parts]


def allowed_cores() -> list[int]:
  """The numbers of the cores that this process may use.

  Raises:
    UserError: the system does not tell.
  """
  if not hasattr(os, "sched_getaffinity"):
    raise errors.UserError(
      "Threads are bound to cores, which this system does not allow; use Linux."
    )
  return sorted(os.sched_getaffinity(0))


def possible(
  threads: Iterable[int], cores: Sequence[int]
) -> tuple[list[int], list[str]]:
  """The numbers of threads with enough cores; sentences on the others."""
  threads = list(threads)
  have = "1 core" if len(cores) == 1 else f"{len(cores)} cores"
  sentences = [
    f"Nothing is measured with {n} threads, as this process may use {have}."
    for n in threads
    if n > len(cores)
  ]
  return [n for n in threads if n <= len(cores)], sentences


def in_child(
  row: str, cores: Sequence[int], repeats: int
) -> dict[str, Any] | None:
  """The results of a row, by pair; None if it failed, which is printed."""
  with tempfile.TemporaryDirectory() as folder:
    file = pathlib.Path(folder, "found.json")
    command = [sys.executable, "-m", "benchmarks.peers.child"]
    bound = ",".join(map(str, cores))
    done = subprocess.run([*command, row, bound, str(repeats), str(file)])
    if done.returncode:
      print(f"{row} failed with {len(cores)} threads.", flush=True)
      return None
    return json.loads(file.read_text())


def line(found: Mapping[str, Any]) -> str:
  """A pair's numbers, below `COLUMNS`."""
  seconds = "".join(f"{found[f'{x}_seconds']:>9.4g}" for x in ("ours", "peer"))
  cpu = "".join(f"{found[f'{x}_cpu_seconds']:>10.4g}" for x in ("ours", "peer"))
  spread = f"{found['ratio_min']:.2f} to {found['ratio_max']:.2f}"
  ratio = f"{found['ratio']:.2f} ({spread})"
  return f"{seconds}{cpu}  {ratio:<20}{'; '.join(_remarks(found))}"


def _remarks(found: Mapping[str, Any]) -> list[str]:
  """How equal the two are, how the peer was run, and its memory."""
  equal = found["difference"]
  remarks = [
    "outputs not compared" if equal is None else f"equal to {equal:.0e}",
    found["peer"],
  ]
  if found.get("ours_resident_mb") is not None:
    both = (found[f"{name}_resident_mb"] for name in ("ours", "peer"))
    remarks.append(" and ".join(f"{mb:.0f}" for mb in both) + " MB")
  return remarks


def show(row: str, threads: int, found: Mapping[str, Any]) -> None:
  """Prints the results of a row."""
  for name, pair in found.items():
    print(f"  {f'{row} {name}':<26}{threads:>7}{line(pair)}", flush=True)


def versions() -> dict[str, str]:
  """The versions of the packages of the extra that are installed."""
  names = (table.PACKAGES[module] for module in sorted(table.available()))
  return {name: importlib.metadata.version(name) for name in names}


def run(argv: Sequence[str]) -> int:
  """Measures, prints, and writes a file if asked to; returns the exit code."""
  values = define_flags()
  asked = rows.chosen(argv, values, table.ROWS, {"repeats": 1})
  chosen, left_out = table.missing(asked, table.available())
  cores = allowed_cores()
  threads, impossible = possible(_threads(values.threads), cores)
  for sentence in (*left_out, *impossible):
    print(sentence)
  if not chosen or not threads:
    raise errors.UserError("So nothing is measured, and nothing is written.")
  print(", ".join(f"{name} {v}" for name, v in versions().items()))
  print(f"  {'':<26}threads{COLUMNS}")
  found: dict[str, dict[str, Any]] = {name: {} for name in chosen}
  failed = False
  for name in chosen:
    for n in threads:
      result = in_child(name, cores[:n], values.repeats)
      failed |= result is None
      if result is not None:
        show(name, n, result)
        found[name][str(n)] = result
  rows.write(values, found, packages=versions())
  return int(failed)


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return command_line.answer(run, argv, __doc__, define_flags())


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
