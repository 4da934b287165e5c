"""Table 1: its rows, its paper's numbers, and how it is shown."""

import copy

import pytest

from configs import hvae
from experiments.paper import table1
from experiments.reporting import report, tables
from experiments.rows import base
from experiments.rows import hvae as hvae_rows


def test_the_paper_s_numbers():
  own = {row.name: row.paper for row in table1.TABLE.rows if not row.is_control}
  assert own == {"heat": {"mnist": 9.32}, "learned": {"mnist": 7.27}}


@pytest.mark.parametrize("preset", hvae.PRESETS)
def test_both_rows_have_the_same_decoder_and_data(preset):
  heat, learned = (
    base.Job(row, "mnist", preset, 0).config.raw
    for row in (hvae_rows.HEAT, hvae_rows.LEARNED)
  )
  for section in ("model", "data", "optimizer", "train", "evaluate"):
    assert heat[section] == learned[section]
  assert heat["task"]["levels"] == learned["task"]["levels"]
  assert (
    heat["task"]["reconstruction_likelihood"]
    == learned["task"]["reconstruction_likelihood"]
  )
  assert heat["data"]["binarize"] == "bernoulli"


@pytest.mark.parametrize("preset", hvae.PRESETS)
def test_every_row_is_a_config_that_can_be_trained(preset):
  for dataset, shape in ("digits", (8, 8, 1)), ("mnist", (28, 28, 1)):
    for row in table1.TABLE.rows:
      job = base.Job(row, dataset, preset, 0)
      job.config.make_task(shape)


def test_the_starts_differ_and_share_weights():
  heat, gaussian = (
    base.Job(row, "mnist", "small", 0)
    for row in (hvae_rows.HEAT, hvae_rows.HEAT_GAUSSIAN)
  )
  assert gaussian.source.name == heat.name
  starts = [job.config.raw["sampler"]["start"] for job in (heat, gaussian)]
  assert starts == ["training_images", "gaussian"]


def record(scores, bound=None):
  metrics = {
    row: {
      name: {"value": value, "num_samples": 1000}
      for name, value in scores.items()
    }
    for row in ("generated", "real")
  }
  found = {
    "metrics": metrics,
    "wall_seconds": {"train": 60.0},
    "network_evaluations": 18,
    "num_parameters": 10,
    "step": 5,
    "config": base.Job(hvae_rows.HEAT, "mnist", "small", 0).config.raw,
    "provenance": {
      "device": {"kind": "cpu"},
      "packages": {"jax": "0"},
    },
  }
  if bound is not None:
    found["bound"] = {"negative_elbo": bound, "num_images": 77}
  return copy.deepcopy(found)


def shown(records):
  scored = [
    report.Scored(base.Job(row, "mnist", "small", 0), one)
    for row, one in zip(table1.TABLE.rows, records, strict=False)
  ]
  return report.score_table(table1.TABLE, table1.TABLE.rows, "mnist", scored)


def test_the_paper_s_score_stands_beside_ours_over_our_classifier():
  scores = {"FD-mnistcls": 3.0, "IS-mnistcls": 9.0, "KID-mnistcls": 0.1}
  header, lines = shown([record(scores), record({**scores, "IS-mnistcls": 8})])
  assert header[:5] == [
    "", "paper IS", "IS-mnistcls", "FD-mnistcls", "KID-mnistcls",
  ]  # fmt: skip
  assert lines[0][:3] == ["heat equation", "9.32", "9.000"]
  assert lines[1][:3] == ["learnable encoder", "7.27", "8.000"]
  assert "-ELBO, nats" not in header
  assert all(len(line) == len(header) for line in lines)


def test_bounds_have_a_column_where_there_are_any():
  scores = {"IS-mnistcls": 9.0}
  header, lines = shown([record(scores, 123.45), record(scores)])
  place = header.index("-ELBO, nats")
  assert [line[place] for line in lines[:2]] == ["123.5", tables.NOTHING]
  assert lines[-1][0] == "held-out data" and lines[-1][place] == tables.NOTHING
  assert lines[-1][header.index("images")] == "1,000"
  assert all(len(line) == len(header) for line in lines)
