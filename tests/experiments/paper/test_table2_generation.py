"""Models of tokens: rows, what they need, and a tiny one from end to end."""

import contextlib
import dataclasses
import io
import json

import numpy as np
import pytest

from configs import token_prior
from experiments.paper import table2_generation, table2_reconstruction
from experiments.reporting import report, tables
from experiments.rows import base, deviations, tokenizer
from experiments.running import commands, runner, work
from pseudovideo import errors, runs
from pseudovideo.config import comparing, parsing
from pseudovideo.evaluation import evaluate
from pseudovideo.runs import results, sample_files
from pseudovideo.samplers import masked
from tests.shapes import SHAPES

# Other lines of Table 2 of the paper, copied from there: 1, 8, 18 frames.
PAPER = {
  ("next", "cifar10"): (91.65, 54.60, 69.23),
  ("next", "celeb_a"): (32.98, 30.19, 28.08),
  ("masked", "cifar10"): (89.78, 35.50, 47.65),
  ("masked", "celeb_a"): (27.34, 16.87, 16.66),
}
TABLE = table2_generation.TABLE
ROWS = {row.name: row for row in TABLE.rows}


def job(name, dataset="digits", preset="tiny", seed=0):
  return base.Job(ROWS[name], dataset, preset, seed)


def looked_up(one):
  """The config of a run, as it would be saved with its checkpoints."""
  config = comparing.to_json(one.config.raw)
  coder = comparing.to_json(one.first_stage.config.raw)
  config["tokenizer"].update(hash="0" * 64, config=coder)
  return config


def changed(one, other):
  one, other = (
    comparing.flatten(job(name, preset="small").config.raw)
    for name in (one, other)
  )
  names = one.keys() | other.keys()
  return {n for n in names if one.get(n) != other.get(n)} - {"title"}


# Rows.


def test_the_paper_s_numbers():
  for (order, dataset), numbers in PAPER.items():
    own = [ROWS[f"{order}_published_{frames}"] for frames in (1, 8, 18)]
    assert tuple(row.paper[dataset] for row in own) == numbers
    assert [row.first_stage for row in own] == list(tokenizer.PUBLISHED)
    for number in numbers:
      assert f"{number:.2f}" in token_prior.__doc__
  assert sum(bool(row.paper) for row in TABLE.rows) == 6
  assert {row.is_control for row in TABLE.rows if not row.paper} == {True}
  assert len(ROWS) == len(TABLE.rows)


@pytest.mark.parametrize("preset", token_prior.PRESETS)
@pytest.mark.parametrize("dataset", ["digits", "celeb_a"])
def test_every_row_makes_a_task(dataset, preset):
  for name in ROWS:
    one = job(name, dataset, preset)
    task = parsing.parse(looked_up(one)).make_task(SHAPES[dataset])
    assert task.coder.grid_shape == task.network.grid
    order = one.row.arguments["order"]
    assert one.config.task == f"{order}_token"


def test_controls_differ_in_what_they_say_and_in_nothing_else():
  eight = "masked_recommended_1_raw"
  assert changed(eight, f"{eight}_critic") == {"task.critic"}
  for steps in (4, 8, 32):
    name = f"{eight}_passes_{steps}"
    assert changed(eight, name) == {"sampler.steps"}
    assert job(name, preset="small").config.raw["sampler"]["steps"] == steps
  assert changed("next_recommended_1_raw", "next_recommended_1_raw_top_p") == {
    "sampler.top_p"
  }
  sampler = job(f"{eight}_maskgit", preset="small").config.raw["sampler"]
  assert masked.Decoding(**sampler) == masked.PRESETS["maskgit"]
  # Over another tokenizer nothing changes at all.
  assert not changed(eight, "masked_published_18")


# What needs what.


def test_a_tokenizer_is_run_first_and_once():
  wanted = [
    job("masked_recommended_1_raw_passes_4"),
    job("next_recommended_1_raw"),
    job("masked_recommended_1_raw_critic"),
    job("masked_recommended_1_raw"),
    job("next_published_1"),
    job("next_recommended_1_raw", seed=1),
  ]
  assert [one.name for one in base.with_sources(wanted)] == [
    "recommended_1_raw-seed0",
    "masked_recommended_1_raw-seed0",
    "masked_recommended_1_raw_passes_4-seed0",
    "next_recommended_1_raw-seed0",
    "masked_recommended_1_raw_critic-seed0",
    "published_1-seed0",
    "next_published_1-seed0",
    "recommended_1_raw-seed1",
    "next_recommended_1_raw-seed1",
  ]


def test_tokenizers_are_the_runs_of_the_other_table():
  others = {row.name: row for row in table2_reconstruction.TABLE.rows}
  for name in ROWS:
    needed = base.with_sources([job(name)])[0]
    same = base.Job(others[needed.row.name], "digits", "tiny", 0)
    assert needed.config == same.config
    assert needed.workdir("runs") == same.workdir("runs")
    assert job(name).first_stage.name == needed.name


def test_a_dry_run_lists_what_is_needed(tmp_path, capsys, write_finished):
  write_finished(job("next_recommended_1_raw").first_stage, tmp_path)
  argv = [
    "run", "--dry-run", "--preset=tiny", f"--root={tmp_path}",
    "--rows=next_recommended_1_raw,next_recommended_1_raw_top_p,masked_published_18",
  ]  # fmt: skip
  assert commands.table_main(TABLE, "", argv) == 0
  said = capsys.readouterr().out.splitlines()
  assert [" ".join(line.split()) for line in said] == [
    "row seed state",
    "published_18 0 missing",
    "masked_published_18 0 missing; needs published_18-seed0",
    "recommended_1_raw 0 done",
    "next_recommended_1_raw 0 missing; needs recommended_1_raw-seed0",
    "next_recommended_1_raw_top_p 0 missing; "
    "samples next_recommended_1_raw-seed0",
  ]


@pytest.mark.parametrize(
  "name", ["next_recommended_1_raw", "next_recommended_1_raw_top_p"]
)
def test_a_model_of_another_tokenizer_is_not_taken(
  name, tmp_path, write_finished
):
  """Neither its scores nor those of other samples of it."""
  one = job(name)
  record = write_finished(one, tmp_path)
  path = one.workdir(tmp_path) / evaluate.RESULTS_FILE

  def keep(**fields):
    record["config"] = looked_up(one)
    record["config"]["tokenizer"]["config"]["model"].update(fields)
    results.write(path, record)

  keep()
  assert work.results_of(one, tmp_path) is not None
  assert not deviations.of_results(one, record)
  keep(patch=[2, 4, 4])
  assert work.results_of(one, tmp_path) is None
  change = "its tokenizer's model.patch is [2, 2, 2], was [2, 4, 4]"
  assert deviations.of_results(one, record) == [change]
  notes = report.notes(TABLE, TABLE.rows, [report.Scored(one, record)])
  assert f"The config of {one.name} has changed since: {change}." in notes


def test_a_checkpoint_of_another_tokenizer_is_refused(tmp_path):
  one = job("masked_recommended_1_raw")
  config = looked_up(one)
  store = work.checkpoints.Checkpoints(one.workdir(tmp_path) / "checkpoints")
  state = {"ema": {"w": np.zeros(2)}, "extra": {}}
  store.save(3, state, config=config, wait=True)
  config["tokenizer"]["config"]["quantizer"]["codes"] = 8
  work.check(one, tmp_path)
  assert work.describe(one, tmp_path) == "step 3 of 6"
  store.save(4, state, config=config, wait=True)
  store.close()
  with pytest.raises(errors.UserError, match="Move it away") as caught:
    runner.run([one], tmp_path)
  assert "tokenizer's quantizer.codes is 16, was 8" in str(caught.value)


# How they are shown.


def test_columns_of_models_of_tokens(make_record):
  likelihood = {
    "nats_per_token": 2.5,
    "bits_per_dim": 0.25,
    "definition": "Of tokens.",
  }
  found = []
  for name, speed in (("next_published_1", 12.34), ("masked_published_1", 80)):
    one = job(name)
    record = make_record(one) | {"samples_per_second": speed}
    record["config"] = looked_up(one)
    if name.startswith("next"):
      record["token_likelihood"] = likelihood
    found.append(report.Scored(one, record))
  header, lines = report.score_table(TABLE, TABLE.rows, "cifar10", found)
  lines = [dict(zip(header, line, strict=True)) for line in lines]
  assert header[1:8] == [
    "paper FID", "FID", "FD-x", "nats/token", "bits/dim", "samples/s", "images",
  ]  # fmt: skip
  assert lines[0][""] == TABLE.rows[0].label
  cells = ("paper FID", "nats/token", "bits/dim", "samples/s")
  assert [lines[0][c] for c in cells] == ["91.65", "2.500", "0.250", "12.3"]
  assert [lines[3][c] for c in cells] == [
    "89.78", tables.NOTHING, tables.NOTHING, "80.0"
  ]  # fmt: skip
  assert lines[-1]["samples/s"] == tables.NOTHING
  notes = "\n".join(report.notes(TABLE, TABLE.rows, found))
  assert "nats/token and bits/dim: Of tokens." in notes
  assert "Samples/s: with decoding of their tokens" in notes


def test_other_tables_have_no_such_columns(make_record):
  one = job("next_published_1").first_stage
  record = make_record(one) | {"samples_per_second": 7.0}
  found = [report.Scored(one, record)]
  table = table2_reconstruction.TABLE
  header, _ = report.score_table(table, table.rows, "cifar10", found)
  assert not {"samples/s", "nats/token", "bits/dim"} & set(header)
  assert "Samples/s" not in "".join(report.notes(table, table.rows, found))


# From end to end.

NAMES = ("next_published_1", "next_published_1_first")


@pytest.fixture(scope="module")
def toy():
  """A row over images, and its weights with only the likeliest token."""
  one = ROWS["next_published_1"]
  first = table2_generation._sampled(
    one, "first", "the likeliest", {"sampler.top_k": 1}
  )
  return dataclasses.replace(TABLE, rows=(one, first))


@pytest.fixture(scope="module")
def finished(toy, tmp_path_factory):
  """Root of the runs, what the command said, and its report."""
  root = tmp_path_factory.mktemp("table2_generation")
  flags = ("--preset=tiny", f"--root={root / 'runs'}")
  outputs = []
  for argv in (["run", *flags, f"--publish={root / 'kept'}"],
               ["report", *flags]):  # fmt: skip
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
      assert commands.table_main(toy, "", argv) == 0
    outputs.append(out.getvalue())
  return root, *outputs


@pytest.mark.slow("trains a tokenizer and its prior")
def test_a_row_is_trained_with_what_it_needs(finished):
  root, said, shown = finished
  order = [line for line in said.splitlines() if line.startswith("[")]
  assert ["to do" in line for line in order] == [True] * 3
  assert order[0].startswith("[1/3] 1 frame, published, seed 0: to do")
  assert order[1].startswith("[2/3] next, 1 frame, published, seed 0")
  assert "missing; needs published_1-seed0" in order[1]
  assert "samples next_published_1-seed0" in order[2]
  kept = sorted(p.stem for p in (root / "kept").rglob("*.json"))
  assert kept == sorted(f"{n}-seed0" for n in (*NAMES, "published_1"))
  assert "next, 1 frame, published" in shown and "nats/token" in shown
  assert "samples/s" in shown and "has changed since" not in shown


@pytest.mark.slow("samples two runs")
def test_a_row_without_weights_samples_those_of_another(finished, toy):
  root = finished[0] / "runs"
  one, first = base.jobs(toy.rows, "digits", "tiny")
  records = [work.results_of(each, root) for each in (one, first)]
  likelihoods = [json.dumps(r["token_likelihood"]) for r in records]
  assert likelihoods[0] == likelihoods[1]
  assert not (first.workdir(root) / "checkpoints").exists()
  drawn = [
    sample_files.load(each.workdir(root) / sample_files.NAME).images
    for each in (one, first)
  ]
  assert len(drawn[0]) == 64 and len(np.unique(drawn[0], axis=0)) > 32
  assert len(np.unique(drawn[1], axis=0)) == 1
  source = runs.restore(one.workdir(root), config=first.config)
  # Another batch size is another program: up to one grey level.
  again = np.int32(evaluate.draw(source, 2).images)
  assert np.abs(again - drawn[1][:2]).max() <= 1
