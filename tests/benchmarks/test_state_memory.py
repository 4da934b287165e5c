import json

import jax
import pytest

from benchmarks import state_memory, traced
from configs import hvae

CONFIG = "--config=configs/hvae.py:preset=tiny"


@pytest.fixture(scope="module")
def values(tmp_path_factory):
  out = tmp_path_factory.mktemp("memory") / "memory.json"
  # Wide enough that some arrays are worth cutting.
  argv = [CONFIG, "--config.model.channels=16", "--noplan"]
  argv += ["--devices=1,2,4", f"--out={out}"]
  assert state_memory.run(argv) == 0
  record = json.loads(out.read_text())
  assert record["config"]["train"]["batch_size"] == 16
  return record["values"]


def test_a_state_is_the_same_on_all_devices_or_cut(values):
  assert list(values) == ["1", "2", "4", "2, fsdp", "4, fsdp"]
  states = {name: found["state_mb"] for name, found in values.items()}
  assert states["1"] == states["2"] == states["4"]
  assert states["1"] > states["2, fsdp"] > states["4, fsdp"]
  assert states["4, fsdp"] > states["1"] / 4


def test_activations_fall_with_devices(values):
  """The gradients do not: those of a state that is not cut are whole."""
  one, two, four = (values[name]["estimate_mb"] for name in "124")
  assert one - two == pytest.approx(2 * (two - four), rel=1e-3)
  assert four > values["4, fsdp"]["estimate_mb"]


@pytest.mark.slow("compiles an update twice")
def test_plans_are_those_of_an_update():
  """Arguments are state, pixels and places of a device's part of the batch."""
  raw = hvae.get_config("preset=tiny")
  raw.model.update(dict(channels=16, multipliers=(1,), attention=()))
  run = traced.training(raw)
  kept = traced.kept(run)
  whole, cut = (
    state_memory.measure(run, kept, jax.devices()[:4], fsdp=fsdp, plan=True)
    for fsdp in (False, True)
  )
  for found in (whole, cut):
    batch = 4 * (64 + 4) / 1e6
    assert found["arguments_mb"] == pytest.approx(
      found["state_mb"] + batch, rel=1e-2
    )
    assert found["temporary_mb"] > 0
    total = found["arguments_mb"] + found["temporary_mb"]
    assert found["planned_mb"] == total
  assert cut["arguments_mb"] < 0.9 * whole["arguments_mb"]
