"""Table 6: the paper's numbers, and ours beside them."""

from experiments.paper import table6
from experiments.reporting import report, tables
from experiments.rows import base

# Table 6 of the paper, copied from there.
PAPER = {"cifar10": (17.20, 21.86, 25.89), "celeb_a": (20.52, 24.66, 29.68)}
TABLE = table6.TABLE


def test_the_paper_s_numbers():
  own = {row.name: row.paper for row in TABLE.rows if not row.is_control}
  names = [f"published_{frames}" for frames in (1, 8, 18)]
  for dataset, numbers in PAPER.items():
    assert tuple(own[name][dataset] for name in names) == numbers
  assert list(own) == names
  assert not any(row.paper for row in TABLE.rows if row.is_control)


def shown(scored):
  header, lines = report.score_table(TABLE, TABLE.rows, "digits", scored)
  return header, [dict(zip(header, line, strict=True)) for line in lines]


def test_psnr_stands_beside_the_paper_s(make_record):
  job = base.Job(TABLE.rows[1], "digits", "tiny", 0)
  metrics = {
    "PSNR": {"value": 21.0, "num_samples": 16},
    "PSNR of mean error": {"value": 20.25, "num_samples": 16},
  }
  record = make_record(job) | {"reconstruction": {"metrics": metrics}}
  found = [report.Scored(job, record)]
  header, lines = shown(found)
  assert header[1:6] == [
    "paper, CIFAR-10 PSNR", "PSNR", "FD-x", "PSNR of mean error", "images",
  ]  # fmt: skip
  eight = lines[1]
  assert eight[""] == TABLE.rows[1].label
  assert (eight["paper, CIFAR-10 PSNR"], eight["PSNR"]) == ("21.86", "21.00")
  assert eight["PSNR of mean error"] == "20.25" and eight["FD-x"] == "1.000"
  assert lines[-1]["PSNR"] == tables.NOTHING and lines[-1]["FD-x"] == "0.500"
  notes = " ".join(report.notes(TABLE, TABLE.rows, found))
  assert "PSNR: in dB, a mean" in notes and "There is no" not in notes


def test_before_anything_is_run_there_are_dashes():
  header, lines = shown([])
  assert header[1:4] == ["paper, CIFAR-10 PSNR", "PSNR", "images"]
  assert lines[0]["PSNR"] == tables.NOTHING
