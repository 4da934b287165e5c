"""Who can reach the port of process 0."""

import json
import os
import socket
import subprocess
import sys

import pytest
from absl import flags

from pseudovideo import errors
from pseudovideo.devices import distributed
from tests import processes

# Starts and stops process 0 with each set of flags, and prints the addresses
# at which it listened, in the kernel's hexadecimal.
LISTEN = """
import json, os, sys
import jax
from absl import flags
from pseudovideo.devices import distributed

def listening():
  links = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
  own = [os.readlink(link) for link in links if os.path.islink(link)]
  found = []
  for table in ("/proc/net/tcp", "/proc/net/tcp6"):
    for line in open(table).read().splitlines()[1:]:
      fields = line.split()
      if fields[3] == "0A" and f"socket:[{fields[9]}]" in own:
        found.append(fields[1].partition(":")[0])
  return found

for arguments in json.loads(sys.argv[1]):
  values = flags.FlagValues()
  distributed.define_flags(values)
  values(["main", *arguments, "--num_processes=1", "--process_id=0"])
  distributed.start(values)
  print(json.dumps(listening()))
  jax.distributed.shutdown()
"""
LOOPBACK = {
  "0100007F",  # 127.0.0.1
  "0000000000000000FFFF00000100007F",
  "00000000000000000000000001000000",  # ::1
}
ANY = {"0" * 32, "0" * 8}


def free_port() -> int:
  with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    return free.getsockname()[1]


def listened(*tries):
  tried = [
    [argument.replace("PORT", str(port)) for argument in arguments]
    for arguments in tries
    for port in [free_port()]
  ]
  done = subprocess.run(
    [sys.executable, "-c", LISTEN, json.dumps(tried)],
    cwd=processes.ROOT,
    env=os.environ | {"PYTHONPATH": str(processes.ROOT)},
    capture_output=True,
    text=True,
    check=True,
  )
  lines = [line for line in done.stdout.splitlines() if line.startswith("[")]
  return [set(json.loads(line)) for line in lines]


def test_a_loopback_address_is_heard_on_this_host_alone():
  hosts = ["127.0.0.1", "127.1", "localhost", "[::ffff:127.0.0.1]"]
  if socket.has_ipv6 and os.path.exists("/proc/net/if_inet6"):
    hosts.append("[::1]")
  found = listened(*([f"--coordinator_address={h}:PORT"] for h in hosts))
  assert len(found) == len(hosts)
  for host, addresses in zip(hosts, found, strict=True):
    assert addresses and addresses <= LOOPBACK, host


def test_others_are_heard_everywhere_unless_a_flag_says_less():
  own = f"--coordinator_address={socket.gethostname()}:PORT"
  loopback = "--coordinator_address=127.0.0.1:PORT"
  everywhere, less, more = listened(
    [own],
    [own, "--coordinator_bind_address=127.0.0.1:PORT"],
    [loopback, "--coordinator_bind_address=0.0.0.0:PORT"],
  )
  assert everywhere <= ANY and everywhere
  assert less <= LOOPBACK and less
  assert more <= ANY | {"0000000000000000FFFF000000000000"} and more


@pytest.mark.parametrize(
  "argument",
  [
    "--coordinator_bind_address=127.0.0.1",
    "--coordinator_bind_address=::1:1234",
    "--coordinator_bind_address=127.0.0.1:0",
    "--coordinator_address=127.0.0.1:70000",
    "--coordinator_address=[::1]",
  ],
)
def test_addresses_that_are_none(argument):
  values = flags.FlagValues()
  distributed.define_flags(values)
  values(
    [
      "main",
      "--coordinator_address=127.0.0.1:1234",
      argument,
      "--num_processes=1",
      "--process_id=0",
    ]
  )
  with pytest.raises(errors.UserError):
    distributed.start(values)


def test_one_process_listens_nowhere():
  values = flags.FlagValues()
  distributed.define_flags(values)
  values(["main", "--coordinator_bind_address=127.0.0.1:1234"])
  with pytest.raises(errors.UserError, match="several processes"):
    distributed.start(values)
