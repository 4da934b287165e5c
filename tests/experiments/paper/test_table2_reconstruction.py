"""Tokenizer rows: configs, the paper's numbers, and how they are shown."""

import math
import statistics

import jax
import pytest

from configs import tokenizer
from experiments.paper import table2_reconstruction, table6
from experiments.reporting import report, tables
from experiments.rows import base
from experiments.rows import tokenizer as tokenizer_rows
from pseudovideo.config import comparing, parsing
from tests.shapes import SHAPES

# First line of Table 2 of the paper, copied from there.
PAPER = {"cifar10": (84.25, 13.81, 11.26), "celeb_a": (24.62, 5.72, 2.27)}
TABLE = table2_reconstruction.TABLE


def config(row, dataset="cifar10", preset="small"):
  return base.Job(row, dataset, preset, 0).config


def task(row, dataset="cifar10", preset="small"):
  made = parsing.parse(config(row, dataset, preset))
  return made.make_task(SHAPES[dataset])


def changed(first, second):
  first, second = (comparing.flatten(config(r).raw) for r in (first, second))
  names = first.keys() | second.keys()
  return {n for n in names if first.get(n) != second.get(n)} - {"title"}


def test_the_paper_s_numbers():
  own = {
    row.arguments["frames"]: row for row in TABLE.rows if not row.is_control
  }
  for dataset, numbers in PAPER.items():
    assert tuple(own[n].paper[dataset] for n in (1, 8, 18)) == numbers
  assert {row.arguments["recipe"] for row in own.values()} == {"as_published"}
  assert not any(row.paper for row in TABLE.rows if row.is_control)


@pytest.mark.parametrize("preset", tokenizer.PRESETS)
@pytest.mark.parametrize("dataset", ["digits", "mnist", "celeb_a"])
def test_every_row_makes_a_task(dataset, preset):
  names = [row.name for row in TABLE.rows]
  assert len(set(names)) == len(names) == 18
  for row in TABLE.rows:
    if (dataset, row) != ("mnist", tokenizer_rows.PUBLISHED_1_GAN):
      made = task(row, dataset, preset)
      frames = (
        2 if row is tokenizer_rows.PUBLISHED_2 else row.arguments["frames"]
      )
      assert made.augmentation.frames == frames


def test_controls_differ_in_what_they_say_and_in_nothing_else():
  assert changed(
    tokenizer_rows.PUBLISHED_1, tokenizer_rows.PUBLISHED_1_GAN
  ) == {"task.adversarial"}
  for own, without in (
    (tokenizer_rows.PUBLISHED_8, tokenizer_rows.PUBLISHED_8_NO_GAN),
    (tokenizer_rows.RECOMMENDED_1, tokenizer_rows.RECOMMENDED_1_NO_GAN),
    (tokenizer_rows.RECOMMENDED_8, tokenizer_rows.RECOMMENDED_8_NO_GAN),
  ):
    assert changed(own, without) == {"task.adversarial"}
  assert not config(tokenizer_rows.PUBLISHED_1).raw["task"]["adversarial"]
  assert config(tokenizer_rows.RECOMMENDED_1).raw["task"]["adversarial"]
  assert config(tokenizer_rows.PUBLISHED_8).raw["task"]["adversarial"]
  assert changed(
    tokenizer_rows.PUBLISHED_1, tokenizer_rows.PUBLISHED_1_DEEP
  ) == {"model.spatial_layers"}
  assert changed(
    tokenizer_rows.RECOMMENDED_1, tokenizer_rows.RECOMMENDED_1_TOKENS
  ) == {"model.patch"}
  for own, raw in (
    (tokenizer_rows.PUBLISHED_1, tokenizer_rows.PUBLISHED_1_RAW),
    (tokenizer_rows.PUBLISHED_8, tokenizer_rows.PUBLISHED_8_RAW),
    (tokenizer_rows.RECOMMENDED_1, tokenizer_rows.RECOMMENDED_1_RAW),
    (tokenizer_rows.RECOMMENDED_8, tokenizer_rows.RECOMMENDED_8_RAW),
  ):
    assert changed(own, raw) == {"model.normalised_patches"}
  for one, other in zip(
    tokenizer_rows.PUBLISHED, tokenizer_rows.RECOMMENDED, strict=True
  ):
    sections = {name.partition(".")[0] for name in changed(one, other)}
    assert sections <= {"quantizer", "task"}


def test_the_deeper_row_has_half_as_many_layers_again():
  for preset, layers in ("paper", 12), ("small", 6), ("tiny", 3):
    model = config(tokenizer_rows.PUBLISHED_1_DEEP, preset=preset).raw["model"]
    assert (model["spatial_layers"], model["temporal_layers"]) == (layers, 0)


@pytest.mark.parametrize("dataset", ["digits", "mnist", "cifar10", "celeb_a"])
def test_images_and_videos_can_have_as_many_tokens(dataset):
  one, eight, matched = (
    math.prod(task(row, dataset).grid_shape)
    for row in (
      tokenizer_rows.RECOMMENDED_1,
      tokenizer_rows.RECOMMENDED_8,
      tokenizer_rows.RECOMMENDED_1_TOKENS,
    )
  )
  assert matched == eight == 4 * one
  one, two = (
    math.prod(task(row, dataset).grid_shape)
    for row in (tokenizer_rows.PUBLISHED_1, tokenizer_rows.PUBLISHED_2)
  )
  assert one == two
  names = {"augmentation.frames", "model.frames"}
  assert (
    changed(tokenizer_rows.PUBLISHED_8, tokenizer_rows.PUBLISHED_2) == names
  )


def record(job, *, psnr, used=213, fd=3.0):
  """Results of a tokenizer, made by hand."""

  def pair(value):
    return {"value": value, "num_samples": 40}

  network = {"name": "x", "weights_hash": "a", "held_out_accuracy": 0.99}
  metric = {"value": fd, "num_samples": 40, "feature_network": network}
  return {
    "metrics": {
      "generated": {"FD-x": metric},
      "real": {"FD-x": {**metric, "value": 0.5}},
    },
    "reconstruction": {
      "metrics": {
        "PSNR": pair(psnr),
        "PSNR of mean error": pair(psnr - 1),
        "IPD": pair(0.9),
      },
      "codebook": {
        "codes": 256, "codes_used": used, "perplexity": used / 2, "tokens": 64,
      },
    },
    "seeds": {"train": job.seed},
    "wall_seconds": {"train": 60.0},
    "network_evaluations": 1,
    "num_parameters": 10,
    "step": job.config.train.steps,
    "config": job.config.raw,
    "provenance": {"device": {"kind": "abacus"}, "packages": {"jax": "0"}},
  }  # fmt: skip


def scored(table, numbers):
  """Results of (place of a row, seed) -> fields of `record`."""
  jobs = {
    key: base.Job(table.rows[key[0]], "cifar10", "small", key[1])
    for key in numbers
  }
  return [
    report.Scored(job, record(job, **numbers[key])) for key, job in jobs.items()
  ]


def shown(table, found):
  header, lines = report.score_table(table, table.rows, "cifar10", found)
  return header, [dict(zip(header, line, strict=True)) for line in lines]


def test_reconstructions_have_their_columns():
  found = scored(TABLE, {(0, 0): {"psnr": 17.256}})
  header, lines = shown(TABLE, found)
  assert header[1:9] == [
    "paper FID", "FID", "FD-x", "PSNR", "PSNR of mean error", "codes used",
    "perplexity", "tokens",
  ]  # fmt: skip
  assert list(lines[0].values())[1:9] == [
    "84.25", tables.NOTHING, "3.000", "17.26", "16.26", "213 of 256", "106.5",
    "64",
  ]  # fmt: skip
  assert set(list(lines[1].values())[2:9]) == {tables.NOTHING}
  assert lines[-1]["FD-x"] == "0.500" and lines[-1]["images"] == "40"
  assert lines[-1]["PSNR"] == lines[-1]["tokens"] == tables.NOTHING
  header, _ = shown(TABLE, [])
  assert header[1:4] == ["paper FID", "FID", "images"]


def test_several_seeds_have_means_and_spreads():
  values = {
    (0, 0): {"psnr": 17.0, "used": 200},
    (0, 1): {"psnr": 18.0, "used": 210},
  }
  _, lines = shown(TABLE, scored(TABLE, values))
  plus, std = "\N{PLUS-MINUS SIGN}", statistics.stdev
  assert lines[0]["PSNR"] == f"17.50 {plus} {std([17, 18]):.2f}"
  assert lines[0]["codes used"] == f"205 {plus} {std([200, 210]):.0f} of 256"
  assert lines[0]["perplexity"] == f"102.5 {plus} {std([100, 105]):.1f}"
  assert lines[0]["tokens"] == "64"


def test_a_model_without_a_codebook_has_dashes_there():
  found = scored(TABLE, {(0, 0): {"psnr": 17.0}, (1, 0): {"psnr": 20.0}})
  del found[1].record["reconstruction"]["codebook"]
  _, lines = shown(TABLE, found)
  assert lines[1]["PSNR"] == "20.00"
  assert lines[1]["codes used"] == lines[1]["tokens"] == tables.NOTHING
  assert lines[0]["codes used"] == "213 of 256"


def test_the_notes_say_what_was_measured():
  found = scored(TABLE, {(0, 0): {"psnr": 17.0}})
  notes = "\n".join(report.notes(TABLE, TABLE.rows, found))
  assert "reconstructions of 40 held-out images" in notes
  assert "over the tokens of these images" in notes
  assert "Weights of the last update" in notes
  assert "discriminator" not in notes and "biased" not in notes
  found = scored(TABLE, {(0, 0): {"psnr": 17.0}, (1, 0): {"psnr": 20.0}})
  other = jax.tree.map(lambda leaf: leaf, found[1].record["config"])
  other["task"]["perceptual"] = "classifier"
  found[1].record["config"] = other
  notes = "\n".join(report.notes(TABLE, TABLE.rows, found))
  assert "Parameters include the discriminator's" in notes
  _, _, biased = notes.partition("biased in their favour: ")
  first, second = (one.record["config"]["title"] for one in found)
  assert second in biased and first not in biased


def test_both_tables_have_the_same_runs():
  for one, other in zip(TABLE.rows, table6.TABLE.rows, strict=True):
    first, second = (
      base.Job(row, "cifar10", "small", 0) for row in (one, other)
    )
    assert first.workdir("runs") == second.workdir("runs")
    assert first.config == second.config
