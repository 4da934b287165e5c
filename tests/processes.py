"""Other processes: that train together, or hold a lock."""

import contextlib
import os
import pathlib
import socket
import subprocess
import sys
import textwrap

ROOT = pathlib.Path(__file__).parents[1]

# Processes that miss each other sooner and cut more arrays.
SET_UP = """
import os, signal, sys
import jax
from absl import flags
from pseudovideo import main
from pseudovideo.devices import distributed, sharding
distributed.HEARTBEAT_TIMEOUT = 20
distributed.CONNECT_TIMEOUT = 120
sharding.SMALLEST_CUT = 64
def die():
  os.kill(os.getpid(), signal.SIGKILL)
"""
RUN = "\nsys.exit(main.main(sys.argv[1:]))\n"
COMMAND = f"{SET_UP}{RUN}"


def start(num, arguments, *, devices=2, code=COMMAND):
  """Starts `num` processes, each with `devices` simulated devices.

  Args:
    num: how many.
    arguments: a list, or a function of the number of the process that gives it.
    devices: of each process.
    code: what each of them runs.
  """
  with socket.socket() as free:
    free.bind(("localhost", 0))
    port = free.getsockname()[1]
  flags = f"--xla_force_host_platform_device_count={devices}"
  environment = os.environ | {"XLA_FLAGS": flags, "PYTHONPATH": str(ROOT)}
  return [
    subprocess.Popen(
      [
        sys.executable, "-c", textwrap.dedent(code),
        *(arguments(i) if callable(arguments) else arguments),
        f"--coordinator_address=localhost:{port}",
        f"--num_processes={num}", f"--process_id={i}",
      ],
      cwd=ROOT, env=environment, text=True,
      stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )
    for i in range(num)
  ]  # fmt: skip


def finish(processes, timeout=300):
  """Exit codes and outputs (standard output and error together)."""
  outputs = []
  try:
    for process in processes:
      out, err = process.communicate(timeout=timeout)
      outputs.append(out + err)
  finally:
    for process in processes:
      process.kill()
  return [process.returncode for process in processes], outputs


def run(num, arguments, **kwargs):
  """Starts them and waits; returns their outputs."""
  codes, outputs = finish(start(num, arguments, **kwargs))
  assert codes == [0] * num, "\n".join(outputs)
  return outputs


@contextlib.contextmanager
def holding(path):
  """A process that holds a lock until it is killed."""
  code = (
    "import sys, time, pathlib; from pseudovideo.files import locks\n"
    "with locks.hold(pathlib.Path(sys.argv[1])) as mine:\n"
    "  print(mine, flush=True); time.sleep(600)"
  )
  process = subprocess.Popen(
    [sys.executable, "-c", code, str(path)],
    cwd=ROOT,
    stdout=subprocess.PIPE,
    text=True,
  )
  try:
    assert process.stdout.readline() == "True\n"
    yield process
  finally:
    process.kill()
    process.communicate()
