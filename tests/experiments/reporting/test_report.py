"""Tables from results files that were made by hand."""

import re
import statistics

import pytest

from configs import hvae
from experiments.publishing import pages, scores
from experiments.reporting import report, tables
from experiments.rows import base
from experiments.running import commands, runner
from pseudovideo.runs import results

NONE = tables.NOTHING
PAPER = {"cifar10": 12.9, "celeb_a": 7.76}
FIRST = base.Row("a", "first", hvae, paper=PAPER, seeds={"tiny": (0, 1, 2)})
CONTROL = base.Row(
  "b", "control", hvae, {"encoder": "learned"}, is_control=True
)
SECOND = base.Row("c", "second", hvae, paper={"cifar10": 15.33})
TABLE = base.Table("toy", "A toy table", "toys", (FIRST, CONTROL, SECOND))


def jobs(*which, dataset="digits"):
  return base.jobs(which or TABLE.rows, dataset, "tiny")


def cells(scored, dataset="digits"):
  header, lines = report.score_table(TABLE, TABLE.rows, dataset, scored)
  return header, {line[0]: dict(zip(header, line, strict=True))
                  for line in lines}  # fmt: skip


@pytest.fixture
def scored(make_record):
  """Two of three seeds of the first row, and the control."""
  values = {"a-seed0": 3.0, "a-seed2": 3.5, "b-seed0": 4.0}
  return [
    report.Scored(
      job, make_record(job, values[job.name], seconds=10 + job.seed)
    )
    for job in jobs()
    if job.name in values
  ]


def test_a_row_has_the_mean_and_spread_of_its_seeds(scored):
  header, lines = cells(scored)
  assert header[1:4] == ["paper, CIFAR-10 FID", "FID", "FD-x"]
  spread = statistics.stdev([3.0, 3.5])
  assert lines["first"] == {
    "": "first",
    "paper, CIFAR-10 FID": "12.90",
    "FID": NONE,
    "FD-x": f"3.250 \N{PLUS-MINUS SIGN} {spread:.3f}",
    "images": "32",
    "evaluations": "50",
    "parameters": "12,345",
    "steps": "8",
    "seconds": "11",
    "seeds": "2",
  }
  control = lines[f"control {report.CONTROL_MARK}"]
  assert control["FD-x"] == "4.000" and control["seeds"] == "1"
  assert control["paper, CIFAR-10 FID"] == NONE


def test_a_missing_row_is_a_line_of_dashes(scored):
  header, lines = cells(scored)
  second = lines["second"]
  assert second.pop("") == "second"
  assert second.pop("paper, CIFAR-10 FID") == "15.33"
  assert set(second.values()) == {NONE} and len(second) == len(header) - 2
  _, without = cells([])
  assert set(list(without["first"].values())[2:]) == {NONE}


def test_the_controls_and_the_held_out_data_come_last(scored):
  _, lines = cells(scored)
  assert list(lines) == [
    "first", "second", f"control {report.CONTROL_MARK}", "held-out data",
  ]  # fmt: skip
  held_out = lines["held-out data"]
  assert held_out["FD-x"] == "0.500" and held_out["images"] == "360"
  assert held_out["parameters"] == NONE


@pytest.mark.parametrize(
  ("dataset", "first", "second"),
  [("cifar10", "12.90", "15.33"), ("celeb_a", "7.76", NONE)],
)
def test_the_paper_s_data_sets_have_its_own_scores(dataset, first, second):
  header, lines = cells([], dataset)
  assert header[1] == "paper FID"
  assert lines["first"]["paper FID"] == first
  assert lines["second"]["paper FID"] == second


def test_fid_has_its_column_as_soon_as_it_is_there(scored):
  for one in scored:
    for which, value in (("generated", 20.0), ("real", 5.0)):
      metrics = one.record["metrics"][which]
      metrics["FID"] = metrics["FD-x"] | {"name": "FID", "value": value}
  header, lines = cells(scored)
  assert header.count("FID") == 1 and header[2] == "FID"
  assert lines[f"control {report.CONTROL_MARK}"]["FID"] == "20.000"
  assert lines["held-out data"]["FID"] == "5.000"
  notes = " ".join(report.notes(TABLE, TABLE.rows, scored))
  assert "There is no FID" not in notes


def test_the_notes_say_what_the_numbers_are(scored):
  notes = "\n".join(report.notes(TABLE, TABLE.rows, scored))
  assert "There is no FID" in notes and "2015-12-05" in notes
  assert (
    "named x are over the project's classifier" in notes and "99.5%" in notes
  )
  assert "standard deviations over training seeds" in notes
  assert "abacus, jax " in notes and "Averaged (EMA)" in notes
  assert f"{report.CONTROL_MARK} A control" in notes and "changed" not in notes
  without = report.notes(TABLE, (FIRST,), scored[:1])
  assert not [note for note in without if report.CONTROL_MARK in note]
  assert "standard deviations" not in " ".join(without)


def test_a_record_of_another_config_is_pointed_out(scored):
  scored[0].record["config"]["optimizer"]["learning_rate"] = 1.0
  scored[0].record["config"]["evaluate"]["num_samples"] = 7
  last = report.notes(TABLE, TABLE.rows, scored)[-1]
  assert last == (
    "The config of a-seed0 has changed since: optimizer.learning_rate is "
    "0.002, was 1.0; evaluate.num_samples is 32, was 7."
  )


def test_scores_on_other_data_than_those_of_training_are_pointed_out(scored):
  scored[1].record["data"] |= {"name": "digits", "trained_on": "before"}
  notes = report.notes(TABLE, TABLE.rows, scored)
  assert [note for note in notes if "other data" in note] == notes[-1:]
  assert "before" in notes[-1]


def test_a_field_that_is_newer_than_a_record_counts_as_its_default(scored):
  config = scored[0].record["config"]
  del config["evaluate"]["inception"], config["optimizer"]["b1"]
  notes = report.notes(TABLE, TABLE.rows, scored)
  assert not [note for note in notes if "changed since" in note]
  del config["evaluate"]["num_samples"]
  assert (
    "num_samples is 32, was 1000" in report.notes(TABLE, TABLE.rows, scored)[-1]
  )


def test_weights_without_a_training_time_have_none(make_record):
  (job, *_) = jobs(SECOND)
  scored = [report.Scored(job, make_record(job, seconds=None))]
  assert cells(scored)[1]["second"]["seconds"] == NONE


@pytest.mark.parametrize("fault", ["network", "data"])
def test_what_cannot_be_compared_is_no_table(
  tmp_path, write_finished, fault, capsys
):
  first, *_, last = jobs(FIRST, SECOND)
  write_finished(first, tmp_path)
  record = write_finished(last, tmp_path)
  if fault == "data":
    record["data"]["fingerprint"] = "g"
  else:
    metric = record["metrics"]["generated"]["FD-x"]
    metric["feature_network"] = metric["feature_network"] | {
      "weights_hash": "other"
    }
  path = last.workdir(tmp_path) / "results.json"
  results.write(path, record)
  argv = ["report", "--preset=tiny", f"--root={tmp_path}"]
  assert commands.table_main(TABLE, "", argv) == 2
  said = {"network": "by different networks", "data": "on different data"}
  err = capsys.readouterr().err
  assert f"a-seed0, {last.name} were scored {said[fault]}" in err


def test_data_without_labels_have_no_network(make_record):
  found = []
  for job in jobs(FIRST):
    record = make_record(job)
    for metrics in record["metrics"].values():
      metrics["near"] = metrics.pop("FD-x")
      del metrics["near"]["feature_network"]
    found.append(report.Scored(job, record))
  tables.check_comparable({s.job.name: s.record for s in found})
  assert cells(found)[1]["first"]["near"].startswith("1.000")
  assert report.notes(TABLE, TABLE.rows, found)


def test_published_results_give_the_same_table(
  tmp_path, write_finished, capsys
):
  publish = runner.publisher(tmp_path / "kept", TABLE.family)
  for i, job in enumerate(jobs(FIRST)):
    record = write_finished(job, tmp_path / "runs", value=1.0 + i)
    publish(job, record)
  printed = []
  for place in (f"--root={tmp_path}/runs", f"--results={tmp_path}/kept"):
    argv = ["report", "--preset=tiny", place]
    assert commands.table_main(TABLE, "", argv) == 0
    printed.append(capsys.readouterr().out)
  assert printed[0] == printed[1]
  text = printed[0]
  assert text.startswith("A toy table\n")
  assert re.search(r"first +12\.90 +2\.000 . 1\.000 ", text)
  assert "Not run: control; second." in text
  argv = ["report", "--preset=tiny", place, "--rows=c", "--format=md"]
  assert commands.table_main(TABLE, "", argv) == 0
  out = capsys.readouterr().out
  assert out.startswith("|  | paper, CIFAR-10 FID |")
  assert "| second | 15.33 |" in out and "first" not in out


def test_a_page_can_hold_such_a_table(tmp_path, make_record, monkeypatch):
  monkeypatch.setattr(scores, "ROOT", tmp_path)
  publish = runner.publisher(tmp_path / "results", TABLE.family)
  for job in jobs(FIRST):
    publish(job, make_record(job))
  entry = scores.ExperimentTable(TABLE, "digits", "tiny")
  monkeypatch.setitem(pages.TABLES, "toy", entry.sheet)
  page = tmp_path / "page.md"
  page.write_text("Before\n<!-- table: toy -->\nold\n<!-- end -->\nafter")
  filled = pages.filled(page)
  assert "| first | 12.90 | " in filled and "old" not in filled
  assert filled.startswith("Before\n<!-- table: toy -->\n\n|  | paper, CIF")
  assert filled.endswith("\n\n<!-- end -->\nafter")
  page.write_text(filled)
  assert pages.filled(page) == filled


def test_a_damaged_file_is_named_and_left_out(tmp_path, write_finished, capsys):
  good, bad = jobs()[:2]
  paths = {}
  for job in (good, bad):
    write_finished(job, tmp_path)
    paths[job] = job.workdir(tmp_path) / "results.json"
  paths[bad].write_text("{}")
  assert [s.job for s in report.collect([good, bad], paths.get)] == [good]
  assert str(paths[bad]) in capsys.readouterr().err
