"""Results with anything missing or of another type: shown, or left out."""

import copy
import json
import random

import pytest

from configs import hvae
from experiments.reporting import report
from experiments.rows import base
from experiments.running import work
from pseudovideo.evaluation import evaluate
from pseudovideo.report import run as run_report
from pseudovideo.runs import results, sample_files

ROW = base.Row("a", "first", hvae)
TABLE = base.Table("toy", "A toy table", "toys", (ROW,))
MORE = {
  "bound": {"levels": [1.0, 2.0], "negative_elbo": 3.0, "num_images": 4},
  "token_likelihood": {"bits_per_dim": 1.0, "definition": "A mean."},
  "left_out": {"FID": "there are no weights"},
  "samples_per_second": 3.5,
  "reconstruction": {
    "metrics": {"PSNR": {"value": 20.0, "better": "higher", "std": 1.0}},
    "codebook": {"codes": 8, "codes_used": 7, "perplexity": 3.0, "tokens": 4},
    "videos": {"num_videos": 2, "psnr_by_frame": [None, 3.0]},
  },
}
HOSTILE = (
  None, True, 0, -1, 10**30, 10**400, 1e308, 5e-324, "", "x", "\ud800\0",
  [], [1], [None], {}, {"a": 1}, [[[]]],
)  # fmt: skip


def places(value, path=()):
  """The paths of keys to everything in a record."""
  inner = ()
  if isinstance(value, dict):
    inner = value.items()
  elif isinstance(value, list):
    inner = enumerate(value)
  for key, entry in inner:
    yield (*path, key)
    yield from places(entry, (*path, key))


def damaged(record, rng):
  record = copy.deepcopy(record)
  part = rng.choice([p for p in places(record) if p[0] != "config"] * 2
                    + list(places(record)))  # fmt: skip
  at = record
  for key in part[:-1]:
    at = at[key]
  if rng.random() < 0.3:
    del at[part[-1]]
  else:
    at[part[-1]] = rng.choice(HOSTILE)
  return record


@pytest.mark.parametrize("seed", range(8))
def test_a_damaged_record_costs_its_own_row_at_most(
  tmp_path, make_record, capsys, seed
):
  jobs = base.jobs([ROW], "digits", "tiny", [0, 1])
  whole, victim = (make_record(job) | copy.deepcopy(MORE) for job in jobs)

  def path(job):
    return job.workdir(tmp_path) / evaluate.RESULTS_FILE

  results.write(path(jobs[0]), whole)
  results.write(path(jobs[1]), victim)
  (jobs[1].workdir(tmp_path) / sample_files.NAME).touch()
  rng = random.Random(seed)
  for _ in range(12):
    path(jobs[1]).write_text(json.dumps(damaged(victim, rng)))
    capsys.readouterr()
    scored = report.collect(jobs, path)
    assert scored[0].job is jobs[0]
    for style in report.FORMATS:
      assert report.report(TABLE, [ROW], "digits", scored, style)
    work.describe(jobs[1], tmp_path)
    if len(scored) == 1:
      assert jobs[1].title in capsys.readouterr().err
    else:
      run_report.run_report(tmp_path, title="x", results=scored[1].record)
