"""Figure 7, of samples that are there or not."""

import numpy as np
import pytest
from PIL import Image

from experiments.paper import figure7
from experiments.rows import base, diffusion
from experiments.running import work
from pseudovideo.report import drawing
from pseudovideo.runs import sample_files


@pytest.fixture
def samples(monkeypatch, write_finished):
  """80 samples, which a training that takes no time leaves."""
  rng = np.random.default_rng(0)
  drawn = rng.integers(0, 256, (80, 8, 8, 1), dtype=np.uint8)

  def do(job, root, *, data_dir=None):
    record = write_finished(job, root)
    path = job.workdir(root) / sample_files.NAME
    sample_files.save(path, sample_files.Samples(drawn, None, 0, 1.0, 6))
    return record

  monkeypatch.setattr(work, "do", do)
  return drawn


def test_the_first_samples_of_the_row_of_table_3(tmp_path, samples, capsys):
  where = ["--preset=tiny", "--dataset=digits", f"--root={tmp_path}"]
  assert figure7.main(["report", *where]) == 2
  assert "There are no samples in" in capsys.readouterr().err
  assert figure7.main(["run", *where]) == 0
  path = tmp_path / "digits-tiny" / "figure7.png"
  assert capsys.readouterr().out.splitlines()[-1] == str(path)
  picture = np.asarray(Image.open(path))
  np.testing.assert_array_equal(picture, drawing.grid(samples[:64], columns=8))
  path.unlink()
  assert figure7.main(["report", *where]) == 0
  np.testing.assert_array_equal(np.asarray(Image.open(path)), picture)
  job = base.Job(diffusion.HIGH_ORDER_4, "digits", "tiny", 0)
  assert work.results_of(job, tmp_path), "which Table 3 finds done"


def test_one_seed_is_enough():
  (row,) = figure7.TABLE.rows
  (job,) = base.jobs([row], "digits", "small")
  first = base.jobs([diffusion.HIGH_ORDER_4], "digits", "small")[0]
  assert (job.name, job.config) == (first.name, first.config)


def test_a_dry_run_draws_nothing(tmp_path, samples, capsys):
  argv = ["run", "--preset=tiny", f"--root={tmp_path}", "--dry-run"]
  assert figure7.main(argv) == 0
  assert "high_order_4" in capsys.readouterr().out
  assert not list(tmp_path.iterdir())
