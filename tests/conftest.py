"""Test settings: four simulated devices, no silent rank promotion.

Programs are compiled with few optimizations: most run once, on small arrays,
and compilation is most of what the tests cost. Other processes that tests start
inherit it. The shapes of arrays are checked in the rooms of the mathematics.
"""
# ruff: noqa: E402  # Settings come before what reads them.

import collections
import fcntl
import gc
import itertools
import os
import pathlib
import shutil
from typing import Any

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
os.environ["XLA_FLAGS"] = (
  os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=4"
)

import jax
import pytest

from tests import annotations

annotations.install()

from configs import hvae, tokenizer, video_diffusion, video_vae
from pseudovideo.config import parsing
from pseudovideo.devices import xla
from pseudovideo.training import loop

xla.enable_cache()
# Thousands of small programs: reading one is faster than compiling it.
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.02)
# What is traced is millions of objects that live on; looking through them again
# and again took a quarter of the time of tracing.
gc.freeze()
gc.set_threshold(100_000, 20, 100)
jax.config.update("jax_numpy_rank_promotion", "raise")


def _trained(tmp_path_factory, name: str, raw: dict[str, Any]) -> pathlib.Path:
  """A folder for this worker alone, with a run that one of them trained."""
  base = tmp_path_factory.getbasetemp()
  if "PYTEST_XDIST_WORKER" in os.environ:
    base = base.parent
  first = base / name
  with (base / f"{name}.lock").open("w") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    if not first.exists():
      made = tmp_path_factory.mktemp(name)
      assert loop.train(raw, made).step == raw["train"]["steps"]
      made.rename(first)
  return shutil.copytree(first, tmp_path_factory.mktemp(name) / "run")


@pytest.fixture
def key() -> jax.Array:
  return jax.random.key(0)


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory) -> pathlib.Path:
  """Folder of `configs/hvae.py:preset=tiny`, trained. Copy it to change it."""
  raw = parsing.complete(hvae.get_config("preset=tiny"))
  return _trained(tmp_path_factory, "tiny_run", raw)


@pytest.fixture(scope="session")
def tiny_video_run(tmp_path_factory) -> pathlib.Path:
  """Folder of a trained tiny video diffusion. Copy it to change it.

  It differs from `configs/video_diffusion.py:preset=tiny` in how steps are
  drawn, so that a run with a state of its own is tested, and has one level.
  """
  raw = parsing.complete(video_diffusion.get_config("preset=tiny"))
  raw["process"]["timesteps"] = "loss_second_moment"
  raw["model"] |= dict(multipliers=(1,), attention=())
  raw["evaluate"]["batch_size"] = raw["train"]["grid"]
  return _trained(tmp_path_factory, "tiny_video_run", raw)


@pytest.fixture(scope="session")
def tiny_tokenizer_run(tmp_path_factory) -> pathlib.Path:
  """Folder of a trained tiny tokenizer of 8 frames. Copy it to change it."""
  raw = parsing.complete(tokenizer.get_config("frames=8,preset=tiny"))
  # Checkpoints of runs that are stopped and of those that are not can then be
  # compared: Adam otherwise makes equal steps out of rounding errors.
  raw["optimizer"]["eps"] = raw["discriminator_optimizer"]["eps"] = 0.1
  return _trained(tmp_path_factory, "tiny_tokenizer_run", raw)


def _vae(argument: str, **task) -> dict[str, Any]:
  """Half as deep as the preset, with a look at time of two frames."""
  raw = parsing.complete(video_vae.get_config(f"{argument},preset=tiny"))
  moves = raw["model"]["branches"] != "image"
  raw["model"] |= dict(
    multipliers=(1, 2), temporal=(moves,), attention=("middle",), rates=()
  )
  raw["model"]["latent_channels"] = 4 if moves else 2
  raw["task"] |= task
  raw["optimizer"]["eps"] = raw["discriminator_optimizer"]["eps"] = 0.1
  return raw


@pytest.fixture(scope="session")
def tiny_image_vae_run(tmp_path_factory) -> pathlib.Path:
  """Folder of a trained tiny image VAE. Copy it to change it."""
  raw = _vae("frames=1,network=image")
  return _trained(tmp_path_factory, "tiny_image_vae_run", raw)


@pytest.fixture(scope="session")
def tiny_vae_run(tmp_path_factory, tiny_image_vae_run) -> pathlib.Path:
  """Folder of a tiny video VAE of 5 frames that began as the image VAE."""
  start = str(tiny_image_vae_run)
  raw = _vae("frames=5,network=key_motion", adversarial=True, start=start)
  return _trained(tmp_path_factory, "tiny_vae_run", raw)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
  """Files that take long come first; slow tests' reports carry their reason."""
  items.sort(key=lambda item: not {"training", "tasks"} & {*item.path.parts})
  for item in items:
    for mark in item.iter_markers("slow"):
      if len(mark.args) != 1:
        raise pytest.UsageError(f"{item.nodeid}: slow(reason) needs a reason.")
      item.user_properties.append(("slow", mark.args[0]))


def pytest_terminal_summary(
  terminalreporter: pytest.TerminalReporter,
) -> None:
  """Lists the slow tests that ran: seconds, file and reason."""
  seconds = collections.Counter[tuple[str, str]]()
  for report in itertools.chain(*terminalreporter.stats.values()):
    reasons = dict(getattr(report, "user_properties", ()))
    if "slow" in reasons and isinstance(report, pytest.TestReport):
      file = report.nodeid.split("::")[0]
      seconds[file, reasons["slow"]] += report.duration
  if seconds:
    terminalreporter.section("slow tests: seconds, file, reason")
  for (file, reason), spent in seconds.most_common():
    terminalreporter.write_line(f"{spent:6.1f}  {file}: {reason}")
