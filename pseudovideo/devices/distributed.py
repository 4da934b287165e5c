"""Several processes that train one model: start, agree, stop together.

Every process runs the same command. JAX connects them, and its coordination
service, in process 0, notices when one dies: the others then end within
`HEARTBEAT_TIMEOUT` seconds with a message that names it, and the same commands
resume from the last checkpoint. SIGTERM to any of them stops all of them at the
same step.

Whoever reaches the port of process 0 can join or end the training: nothing is
encrypted, and nobody is asked who they are. A loopback address is heard on this
host alone, any other on all interfaces, unless --coordinator_bind_address names
one.
"""

import ipaddress
import os
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np
from absl import flags
from jax.experimental import multihost_utils

from pseudovideo import errors

# Seconds.
HEARTBEAT_TIMEOUT = 60
CONNECT_TIMEOUT = 300
# The last checkpoint may still be written by process 0 when others are done.
SHUTDOWN_TIMEOUT = 600

# Messages of collectives whose other process is gone: between hosts, between
# GPUs, and of whatever sends through sockets.
_LOST = ("gloo", "nccl", "by peer", "broken pipe", "socket", "unavailable:")

_BY_HAND = ("coordinator_address", "num_processes", "process_id")
_BIND = "coordinator_bind_address"
FLAGS = ("distributed", *_BY_HAND, _BIND)
_LOOPBACK_NAMES = ("localhost", "localhost.localdomain", "ip6-localhost")


def define_flags(values: flags.FlagValues) -> None:
  """Defines the flags that say which process of how many this is."""
  flags.DEFINE_bool(
    "distributed",
    False,
    "Join the processes that SLURM, Open MPI, Kubernetes or a Cloud TPU pod "
    "started; they supply addresses and counts.",
    flag_values=values,
  )
  flags.DEFINE_string(
    "coordinator_address",
    None,
    "Find process 0 at this HOST:PORT; needed only without a scheduler.",
    flag_values=values,
  )
  flags.DEFINE_string(
    _BIND,
    None,
    "Let process 0 listen at this HOST:PORT; on all interfaces if absent, on "
    "this host alone if --coordinator_address is a loopback address.",
    flag_values=values,
  )
  flags.DEFINE_integer(
    "num_processes",
    None,
    "Wait for so many processes; needed only without a scheduler.",
    flag_values=values,
  )
  flags.DEFINE_integer(
    "process_id",
    None,
    "Run as this process, from 0 on; needed only without a scheduler.",
    flag_values=values,
  )


def start(values: flags.FlagValues) -> None:
  """Connects this process with the others, if the flags say that there are any.

  Must come before anything is computed.

  Raises:
    UserError: flags that do not fit together.
    RunError: the others do not answer.
  """
  given = {name: values[name].value for name in _BY_HAND}
  missing = [f"--{name}" for name, value in given.items() if value is None]
  bind = values[_BIND].value
  if len(missing) == len(given) and not values.distributed:
    if bind is not None:
      raise errors.UserError(
        f"--{_BIND} is for several processes; give --coordinator_address, "
        "--num_processes and --process_id, or --distributed."
      )
    return
  if 0 < len(missing) < len(given):
    raise errors.UserError(
      f"On plain hosts all of {_list(f'--{n}' for n in _BY_HAND)} are needed; "
      f"{_list(missing)} {'is' if len(missing) == 1 else 'are'} missing."
    )
  if not missing:
    _check(**given)
  if bind is not None:
    _host_and_port(f"--{_BIND}", bind)
  try:
    jax.distributed.initialize(
      **given,
      coordinator_bind_address=bind or _loopback(given["coordinator_address"]),
      initialization_timeout=CONNECT_TIMEOUT,
      heartbeat_timeout_seconds=HEARTBEAT_TIMEOUT,
      shutdown_timeout_seconds=SHUTDOWN_TIMEOUT,
    )
  except (RuntimeError, ValueError) as error:
    first = str(error).splitlines()[0].rstrip(".")
    raise errors.RunError(
      f"The processes could not be connected ({first}); start all of them "
      "within five minutes, and on plain hosts give "
      f"{_list(f'--{name}' for name in _BY_HAND)}."
    ) from error


def _list(names: Iterable[str]) -> str:
  *most, last = names
  return f"{', '.join(most)} and {last}" if most else last


def _check(
  *, coordinator_address: Any, num_processes: Any, process_id: Any
) -> None:
  _host_and_port("--coordinator_address", coordinator_address)
  if not 0 <= process_id < num_processes:
    raise errors.UserError(
      "--process_id must be one of 0 .. --num_processes - 1; got "
      f"{process_id} of {num_processes}."
    )


def _host_and_port(flag: str, address: str) -> tuple[str, str]:
  """Splits HOST:PORT, where HOST may be [IPv6].

  Raises:
    UserError: it is something else.
  """
  host, _, port = address.rpartition(":")
  bare = host[1:-1] if host[:1] == "[" and host[-1:] == "]" else host
  whole = bare and (bare != host or ":" not in host)
  if not whole or not (port.isascii() and port.isdecimal()):
    raise errors.UserError(
      f"{flag} must look like 10.0.0.1:1234 or [::1]:1234; got {address!r}."
    )
  if not 0 < int(port[:9]) < 2**16:
    raise errors.UserError(
      f"The port of {flag} must be one of 1 .. 65535; got {address!r}."
    )
  return bare, port


def _loopback(address: str | None) -> str | None:
  """Where to listen if an address is a loopback one; None: as JAX chooses.

  Names of hosts are not looked up: a host may call itself 127.0.1.1, and have
  another address for others.

  Args:
    address: HOST:PORT; None where a scheduler or JAX's own variable says it.
  """
  address = address or os.environ.get("JAX_COORDINATOR_ADDRESS")
  if not address or os.environ.get("JAX_COORDINATOR_BIND_ADDRESS"):
    return None
  host, port = _host_and_port("The address of process 0", address)
  if host.rstrip(".").lower() in _LOOPBACK_NAMES:
    return f"{host}:{port}"
  try:
    # Also of short forms, such as 127.1.
    found = socket.getaddrinfo(host, None, flags=socket.AI_NUMERICHOST)
  except (OSError, UnicodeError):
    return None
  ip = ipaddress.ip_address(found[0][4][0])
  ip = getattr(ip, "ipv4_mapped", None) or ip
  if not ip.is_loopback:
    return None
  return f"[{ip}]:{port}" if ip.version == 6 else f"{ip}:{port}"


def exit_code(command: Callable[[], int]) -> int:
  """Runs a command; its exit code. Other processes notice a failure at once.

  At exit Python would wait for the other processes, and they for this one.
  After a failure this process ends at once instead, which the others notice.

  The death of another process is noticed by its heartbeat or, if this one is
  just exchanging data with it, by the broken connection. Both end with the
  message of JAX's coordination service, which names the process that died.
  """
  try:
    code = command()
  except BaseException as error:
    if not jax.distributed.is_initialized():
      raise
    if _is_lost_connection(error):
      _wait_for_the_heartbeat(error)
    else:
      traceback.print_exc()
    code = 1
  if code in (1, 2) and jax.distributed.is_initialized():
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
  return code


def _is_lost_connection(error: BaseException) -> bool:
  text = str(error).lower()
  of_jax = isinstance(error, jax.errors.JaxRuntimeError)
  return several() and of_jax and any(word in text for word in _LOST)


def _wait_for_the_heartbeat(error: BaseException) -> None:
  """Returns only if the coordination service misses nobody."""
  first = str(error).splitlines()[0]
  print(
    f"The connection to another process broke ({first}); which one died is "
    f"known within {HEARTBEAT_TIMEOUT} seconds.",
    file=sys.stderr,
    flush=True,
  )
  time.sleep(2 * HEARTBEAT_TIMEOUT)
  print(
    "Error: all processes are alive, but one cannot reach another; look at the "
    "network, and run the same commands again.",
    file=sys.stderr,
  )


def label(title: str) -> str:
  """The title of a run, and which process this is if there are several."""
  if not several():
    return title
  return f"{title} (process {jax.process_index()} of {jax.process_count()})"


def several() -> bool:
  """True if there are other processes."""
  return jax.process_count() > 1


def agree(what: str, number: int) -> None:
  """Makes sure that a number is the same in all processes; all must call it.

  Args:
    what: name of the number, for the error.
    number: an integer of 64 bits.

  Raises:
    RunError: the numbers differ.
  """
  if not several():
    return
  # In halves, since JAX has no 64 bits by default.
  halves = np.array([number], np.int64).view(np.int32)
  found = multihost_utils.process_allgather(halves)
  numbers = np.ascontiguousarray(found).view(np.int64)[:, 0].tolist()
  if len(set(numbers)) > 1:
    raise errors.RunError(
      f"The processes differ in the {what}: "
      + ", ".join(f"{n} in process {i}" for i, n in enumerate(numbers))
      + "; they must run the same command and see the same files."
    )


def first_says(flag: bool) -> bool:
  """The flag of process 0, in all processes; all must call it."""
  if not several():
    return flag
  return bool(multihost_utils.broadcast_one_to_all(np.int32(flag)))


def should_stop(number: int) -> bool:
  """True if all processes stop here, since one got SIGTERM.

  Without other processes `signals` alone says when to stop.

  Args:
    number: how often it was called before, the same in all processes.
  """
  return several() and multihost_utils.reached_preemption_sync_point(number)


def wait_for_all(what: str) -> None:
  """Returns when all processes have called it."""
  if several():
    multihost_utils.sync_global_devices(what)
