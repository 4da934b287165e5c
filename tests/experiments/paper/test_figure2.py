"""Figure 2, of samples that are there or not."""

import numpy as np
import pytest
from PIL import Image

from experiments.paper import figure2, table1
from experiments.rows import base
from experiments.running import work
from pseudovideo import data
from pseudovideo.report import drawing
from pseudovideo.runs import sample_files


@pytest.fixture
def samples(monkeypatch, write_finished):
  """Samples of either model, which a training that takes no time leaves."""
  drawn = {}

  def do(job, root, *, data_dir=None):
    rng = np.random.default_rng(len(job.row.name))
    frames = rng.integers(0, 256, (80, 8, 8, 1), dtype=np.uint8)
    videos = rng.integers(0, 256, (4, 5, 8, 8, 1), dtype=np.uint8)
    drawn[job.row.name] = frames, videos
    record = write_finished(job, root)
    path = job.workdir(root) / sample_files.NAME
    sample_files.save(path, sample_files.Samples(frames, videos, 0, 1.0, 6))
    return record

  monkeypatch.setattr(work, "do", do)
  return drawn


def test_both_models_and_held_out_images(tmp_path, samples, capsys):
  where = ["--preset=tiny", "--dataset=digits", f"--root={tmp_path}"]
  assert figure2.main(["report", *where]) == 2
  assert "There are no samples in" in capsys.readouterr().err
  assert figure2.main(["run", *where]) == 0
  path = tmp_path / "digits-tiny" / "figure2.png"
  assert capsys.readouterr().out.splitlines()[-1] == str(path)
  picture = np.asarray(Image.open(path))
  left = 0
  held_out = data.spread(data.load("digits").test_images, 64)
  for frames in (
    samples["heat"][0][:64],
    samples["learned"][0][:64],
    held_out,
  ):
    grid = drawing.grid(frames)
    cut = picture[: grid.shape[0], left : left + grid.shape[1]]
    np.testing.assert_array_equal(cut, grid)
    left += grid.shape[1] + 24
  strip = drawing.film_strip(samples["heat"][1])
  np.testing.assert_array_equal(
    picture[-strip.shape[0] :, : strip.shape[1]], strip
  )


def test_its_rows_are_those_of_table_1():
  for row in figure2.TABLE.rows:
    assert row in table1.TABLE.rows
    assert base.Job(row, "mnist", "small", 0).config


def test_a_dry_run_draws_nothing(tmp_path, samples, capsys):
  argv = ["run", "--preset=tiny", f"--root={tmp_path}", "--dry-run"]
  assert figure2.main(argv) == 0
  assert "learned" in capsys.readouterr().out
  assert not list(tmp_path.iterdir())
