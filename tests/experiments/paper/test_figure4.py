"""Figures 4 and 5, of reconstructions that are there or not."""

import numpy as np
import pytest
from PIL import Image

from experiments.paper import figure4, figure5, table2_reconstruction
from experiments.rows import base
from experiments.running import work
from pseudovideo import data
from pseudovideo.report import drawing
from pseudovideo.runs import sample_files

NUM = 80
SHOWN = np.linspace(0, NUM - 1, 36).astype(int)


@pytest.fixture
def samples(monkeypatch, write_finished):
  """Reconstructions, which a training that takes no time leaves."""
  drawn = {}

  def do(job, root, *, data_dir=None):
    rng = np.random.default_rng(len(drawn))
    frames = rng.integers(0, 256, (NUM, 8, 8, 1), dtype=np.uint8)
    drawn[job.row.name] = frames
    record = write_finished(job, root)
    path = job.workdir(root) / sample_files.NAME
    sample_files.save(path, sample_files.Samples(frames, None, 0, 1.0, 6))
    return record

  monkeypatch.setattr(work, "do", do)
  return drawn


@pytest.mark.parametrize(
  ("figure", "recipe", "names"),
  [
    (figure4, "as_published", "published"),
    (figure5, "recommended", "recommended"),
  ],
)
def test_the_truth_and_three_models(
  tmp_path, samples, capsys, figure, recipe, names
):
  name = figure.__name__.rpartition(".")[2]
  where = ["--preset=tiny", "--dataset=digits", f"--root={tmp_path}"]
  where += [f"--recipe={recipe}"] if recipe != "as_published" else []
  assert figure.main(["report", *where]) == 2
  assert "There are no samples in" in capsys.readouterr().err
  assert figure.main(["run", *where]) == 0
  path = tmp_path / "digits-tiny" / f"{name}_{recipe}.png"
  assert capsys.readouterr().out.splitlines()[-1] == str(path)
  picture = np.asarray(Image.open(path))
  assert list(samples) == [f"{names}_{frames}" for frames in (1, 8, 18)]
  # What the models were given: held-out images at even distances.
  test_images = data.load("digits").test_images
  truth = test_images[np.linspace(0, len(test_images) - 1, NUM).astype(int)]
  left = 24
  for frames in (truth, *samples.values()):
    grid = drawing.grid(frames[SHOWN])
    bottom, right = 48 + grid.shape[0], left + grid.shape[1]
    np.testing.assert_array_equal(picture[48:bottom, left:right], grid)
    assert picture[24:48, left:right].min() < 60, "no label above the grid"
    left = right + 24
  assert picture.shape[1] == left
  path.unlink()
  assert figure.main(["report", *where]) == 0
  np.testing.assert_array_equal(np.asarray(Image.open(path)), picture)


def test_one_row_can_be_drawn_alone(tmp_path, samples, capsys):
  name = "published_8_no_gan"
  argv = ["run", "--preset=tiny", f"--root={tmp_path}", f"--rows={name}"]
  assert figure4.main(argv) == 0
  assert list(samples) == [name]
  path = capsys.readouterr().out.splitlines()[-1]
  assert path.endswith("figure4_rows.png")
  picture = np.asarray(Image.open(path))
  grid = drawing.grid(samples[name][SHOWN])
  assert picture.shape[1] == 2 * grid.shape[1] + 3 * 24


def test_its_rows_are_those_of_table_2():
  for recipe in figure4.RECIPES:
    for row in figure4.table("figure4", recipe).rows:
      assert row in table2_reconstruction.TABLE.rows
      assert base.Job(row, "cifar10", "small", 0).config


def test_an_unknown_recipe_is_a_sentence(tmp_path, capsys):
  argv = ["run", "--recipe=recommend", f"--root={tmp_path}"]
  assert figure4.main(argv) == 2
  assert "did you mean 'recommended'" in capsys.readouterr().err


def test_a_dry_run_draws_nothing(tmp_path, samples, capsys):
  argv = ["run", "--preset=tiny", f"--root={tmp_path}", "--dry-run"]
  assert figure5.main(argv) == 0
  assert "published_18" in capsys.readouterr().out
  assert not list(tmp_path.iterdir())
