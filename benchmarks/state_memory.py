"""Bytes on each device while a config trains, by the number of devices.

  python -m benchmarks.state_memory [--config=configs/hvae.py] \\
      [--devices=1,2,4,8] [--noplan] [--topology=v5e:2x4] [--out=FILE.json]

For a state that is copied to all devices and for one that is cut over them
(train.fsdp): the state itself, which is exact; what XLA plans for the update,
arguments and temporary arrays; and the estimate that `benchmarks.fits` makes of
these. Nothing is allocated, the devices are simulated ones of the CPU. With
--noplan nothing is compiled, which for large networks takes long.

XLA's plans for a CPU differ from those for an accelerator: in particular layers
that model.remat computes again are kept there. With --topology the plans are
those for a TPU, which need not be there: libtpu compiles for it
(TPU_SKIP_MDS_QUERY=1 keeps it from looking for one).
"""

import sys
from collections.abc import Sequence
from typing import Any

import jax
from absl import flags
from jax.experimental import topologies

from benchmarks import rows, traced
from pseudovideo import errors
from pseudovideo.devices import sharding
from pseudovideo.files import writable
from pseudovideo.terminal import command_line
from pseudovideo.training import state

CONFIG = "configs/hvae.py"
MOST_DEVICES = 8
MB = 1e6


def measure(
  run: traced.Training,
  kept: traced.Kept,
  devices: Sequence[jax.Device],
  *,
  fsdp: bool,
  plan: bool,
) -> dict[str, float]:
  """Measures one way to train.

  Args:
    run: a training of `traced.training`.
    kept: bytes that its loss keeps, of `traced.kept`.
    devices: devices that share the batch, real or not.
    fsdp: True cuts the state over them.
    plan: True compiles the update.

  Returns:
    In 10^6 bytes per device: state_mb; estimate_mb, state, gradients and what
    the loss keeps; with a plan also arguments_mb, temporary_mb and planned_mb,
    their sum.

  Raises:
    UserError: the devices do not divide the batch.
  """
  mesh = sharding.make_mesh(devices)
  sharding.check_batch_size("train.batch_size", run.batch_size, mesh)
  parts = traced.state_bytes(run.state, mesh, fsdp=fsdp)
  activations = kept.of(run.batch_size // mesh.size)
  found = {
    "state_mb": (sum(parts.values()) - parts["gradients"]) / MB,
    "estimate_mb": (sum(parts.values()) + activations) / MB,
  }
  if plan:
    found |= _planned(run, mesh, fsdp)
  return found


def _planned(run, mesh, fsdp):
  whole, cut = sharding.replicated(mesh), sharding.split_batch(mesh)
  places = state.of_state(run.state, mesh, fsdp=fsdp)
  update = jax.jit(
    run.step,
    in_shardings=(places, cut, whole),
    out_shardings=(places, whole),
    donate_argnums=0,
  )
  examples = traced.batch(run.task, run.batch_size)
  plan = (
    update.lower(run.state, examples, traced.key_shape())
    .compile()
    .memory_analysis()
  )
  found = {
    "arguments_mb": plan.argument_size_in_bytes / MB,
    "temporary_mb": plan.temp_size_in_bytes / MB,
  }
  return found | {"planned_mb": sum(found.values())}


def measure_all(
  run: traced.Training,
  devices: Sequence[jax.Device],
  numbers: Sequence[int],
  *,
  plan: bool,
) -> dict[str, rows.Found]:
  """Measures each number of devices, with the state copied and cut."""
  cases = {
    f"{num}{', fsdp' if fsdp else ''}": (num, fsdp)
    for fsdp in (False, True)
    for num in numbers
    if num > 1 or not fsdp
  }
  kept = traced.kept(run)

  def one(case):
    num, fsdp = case
    return measure(run, kept, devices[:num], fsdp=fsdp, plan=plan)

  return rows.measured(cases, one)


def define_flags() -> flags.FlagValues:
  """Defines the flags of the command, apart from --config."""
  values = flags.FlagValues()
  for define, name, default, meaning in (
    (
      flags.DEFINE_string,
      "devices",
      "1,2,4,8",
      "Measure with so many devices, commas between.",
    ),
    (
      flags.DEFINE_boolean,
      "plan",
      True,
      "Compile the update and print XLA's plan; --noplan leaves it out.",
    ),
    (
      flags.DEFINE_string,
      "topology",
      "",
      "Compile for this TPU, such as v5e:2x2.",
    ),
    (
      flags.DEFINE_string,
      "out",
      None,
      "Write results and provenance to this JSON file.",
    ),
  ):
    define(name, default, meaning, flag_values=values)
    values.register_key_flag_for_module(sys.argv[0], values[name])
  return values


def _numbers(text: str, most: int) -> list[int]:
  """The value of --devices.

  Raises:
    UserError: no numbers, or more devices than there are.
  """
  try:
    found = [int(part) for part in text.split(",")]
  except ValueError:
    found = [0]
  if min(found) < 1 or max(found) > most:
    raise errors.UserError(
      f"--devices takes numbers from 1 to {most}, with commas; got {text!r}."
    )
  return found


def _devices(topology: str) -> list[Any]:
  """The devices of a TPU that need not be there, or this machine's.

  Raises:
    UserError: libtpu is not installed, or knows no such TPU.
  """
  if not topology:
    return jax.devices()
  try:
    found = topologies.get_topology_desc(topology, platform="tpu")
  except Exception as error:  # libtpu's own, of no common class.
    raise errors.UserError(
      f"--topology={topology} needs libtpu, as by pip install 'jax[tpu]', and "
      f"a TPU that it knows, such as v5e:2x2; it says: "
      f"{str(error).splitlines()[0].rstrip('.')}."
    ) from None
  return list(found.devices)


def run(argv: Sequence[str]) -> int:
  """Measures, prints, and writes a file if asked to; returns the exit code."""
  values = define_flags()
  config = command_line.parse(argv, values)
  config = config or command_line.load_config(CONFIG)
  if values.out:
    writable.check(values.out)
  devices = _devices(values.topology)
  numbers = _numbers(values.devices, len(devices))
  training = traced.training(config)
  print(f"{config.title}, 10^6 bytes per device")
  table = measure_all(training, devices, numbers, plan=values.plan)
  rows.write(
    values,
    table,
    topology=values.topology,
    config=config.raw,
  )
  return 0


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return command_line.answer(run, argv, __doc__, define_flags())


if __name__ == "__main__":
  jax.config.update("jax_num_cpu_devices", MOST_DEVICES)
  sys.exit(main(sys.argv[1:]))
