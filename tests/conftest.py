"""Test settings: four simulated devices, no silent rank promotion."""

import os
import pathlib

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["XLA_FLAGS"] = (
  os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=4"
)

import jax
import pytest

from configs import hvae
from pseudovideo import compilation, configuration, train

compilation.enable_cache()
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture
def key() -> jax.Array:
  return jax.random.key(0)


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory) -> pathlib.Path:
  """Folder of `configs/hvae.py:preset=tiny`, trained. Copy it to change it."""
  workdir = tmp_path_factory.mktemp("tiny_run")
  raw = configuration.complete(hvae.get_config("preset=tiny"))
  assert train.train(raw, workdir).step == raw["train"]["steps"]
  return workdir
