"""Compiled programs are kept, checked, and never in the way."""

import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

from pseudovideo.devices import programs

ROOT = pathlib.Path(__file__).parents[2]
PROGRAM = """
import logging, sys
import jax, jax.numpy as jnp
from pseudovideo.devices import xla
logging.basicConfig(format="%(message)s")
folder = xla.enable_cache()
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
compiled = []
jax.monitoring.register_event_listener(
  lambda name, **_: compiled.append(name) if "cache_misses" in name else None)
f = jax.jit(lambda x: jnp.sin(x) @ x)
print(folder, float(f(jnp.ones((3, 3))).sum()))
print("misses", len(compiled))
"""

NETWORK = """
import jax, jax.numpy as jnp
import pseudovideo
from pseudovideo import compiling
from pseudovideo.devices import xla
from pseudovideo.models import encoder
xla.enable_cache()
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
compiled = []
jax.monitoring.register_event_listener(
  lambda name, **_: compiled.append(name) if "cache_misses" in name else None)
net = encoder.LatentEncoder(8)
images, level = jnp.ones((1, 8, 8, 1)), jnp.ones(1)
params = compiling.once(net.init)(jax.random.key(0), images, level)
loss = lambda params: net.apply(params, images, level)[0].sum()
jax.jit(jax.grad(loss), compiler_options=compiling.compiled_soon())(params)
print(pseudovideo.__file__)
print("misses", len(compiled))
"""


def start(
  program: str = PROGRAM,
  folder: pathlib.Path | None = None,
  **changes: str | None,
) -> subprocess.CompletedProcess:
  environment: dict[str, str] = {**os.environ, **changes}
  for name in (programs.VARIABLE, "HOME", "XDG_CACHE_HOME"):
    if changes.get(name) is None:
      environment.pop(name, None)
  done = subprocess.run(
    [sys.executable, "-c", program],
    env=environment,
    cwd=folder,
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
  return done


def value(done: subprocess.CompletedProcess) -> str:
  return done.stdout.split()[-3]


def misses(done: subprocess.CompletedProcess) -> int:
  return int(done.stdout.split()[-1])


def _spoil(path: pathlib.Path, kind: str) -> None:
  content = bytearray(path.read_bytes())
  path.unlink()
  if kind == "flip":
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
  elif kind == "cut":
    path.write_bytes(content[: len(content) // 2])
  elif kind == "empty":
    path.write_bytes(b"")
  elif kind == "link":
    path.symlink_to(path.name)
  elif kind == "pipe":
    os.mkfifo(path)


def test_a_damaged_program_is_compiled_again(tmp_path):
  first = start(XDG_CACHE_HOME=str(tmp_path))
  folder = tmp_path / "pseudovideo" / "programs"
  entries = sorted(folder.iterdir())
  assert misses(first) == len(entries) > 0
  for entry in entries:
    _spoil(entry, "flip")
  second = start(XDG_CACHE_HOME=str(tmp_path))
  assert value(second) == value(first) and misses(second) == len(entries)
  assert second.stderr.count("is damaged") == 1
  third = start(XDG_CACHE_HOME=str(tmp_path))
  assert misses(third) == 0 and not third.stderr, third.stderr


@pytest.mark.slow("builds a network in two processes")
def test_the_same_network_elsewhere_is_not_compiled_again(tmp_path):
  """Neither the folder of the code counts, nor where its lines are."""
  cache = str(tmp_path / "cache")
  found = []
  for name in ("one", "two/three"):
    folder = tmp_path / name
    package = folder / "pseudovideo"
    shutil.copytree(
      ROOT / "pseudovideo",
      package,
      ignore=shutil.ignore_patterns("__pycache__"),
    )
    if found:
      for path in package.rglob("*.py"):
        path.write_text("# A line.\n" + path.read_text())
    done = start(NETWORK, folder, XDG_CACHE_HOME=cache, PYTHONPATH=str(folder))
    assert str(package) in done.stdout
    found.append(misses(done))
  assert found[0] > 0 and found[1] == 0, found


@pytest.mark.parametrize("name", ["file", "own", "no home"])
def test_where_programs_are_kept(tmp_path, name):
  """The user's folder, or none and a line that names the variable."""
  own = tmp_path / "own [1]"
  (tmp_path / "file").write_text("")
  changes = {
    "file": {"XDG_CACHE_HOME": str(tmp_path / "file")},
    "own": {programs.VARIABLE: str(own)},
    "no home": {"HOME": os.devnull},
  }[name]
  done = start(**changes)
  lines = done.stderr.strip().splitlines()
  if name == "own":
    assert not lines and own.exists()
    assert misses(start(**changes)) == 0
  else:
    assert len(lines) == 1 and "XDG_CACHE_HOME" in lines[0], lines


def test_any_flipped_bit_is_noticed(tmp_path, caplog):
  kept = programs.Programs(tmp_path, sealed=True)
  program = np.random.default_rng(0).bytes(300)
  kept.put("key", program)
  assert kept.get("key") == program and kept.get("other") is None
  (path,) = tmp_path.iterdir()
  whole = path.read_bytes()
  for bit in range(0, 8 * len(whole), 7):
    spoiled = bytearray(whole)
    spoiled[bit // 8] ^= 1 << bit % 8
    path.write_bytes(spoiled)
    assert kept.get("key") is None
  assert caplog.text.count("is damaged") == 1, "said once"
  kept.put("key", program)
  assert kept.get("key") == program


@pytest.mark.parametrize("kind", ["cut", "empty", "link", "pipe"])
def test_what_is_no_program_is_replaced(tmp_path, kind):
  kept = programs.Programs(tmp_path, sealed=True)
  kept.put("key", b"program")
  (path,) = tmp_path.iterdir()
  _spoil(path, kind)
  assert kept.get("key") is None
  kept.put("key", b"program")
  assert kept.get("key") == b"program"
