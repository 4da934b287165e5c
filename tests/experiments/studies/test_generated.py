"""Samples of several models in one picture."""

import numpy as np
import pytest
from PIL import Image

from experiments.studies import generated
from pseudovideo.report import drawing
from pseudovideo.runs import sample_files

ROWS = ("next_published_1", "masked_published_8")


@pytest.fixture
def drawn(tmp_path, monkeypatch):
  """Samples of two rows, which are taken for finished."""
  found = {}
  for number, name in enumerate(ROWS):
    rng = np.random.default_rng(number)
    found[name] = rng.integers(0, 256, (70, 8, 8, 1), dtype=np.uint8)
    folder = tmp_path / "digits-tiny" / f"{name}-seed0"
    folder.mkdir(parents=True)
    samples = sample_files.Samples(found[name], None, 0, 1.0, 6)
    sample_files.save(folder / sample_files.NAME, samples)
  monkeypatch.setattr(
    generated.work, "results_of", lambda job, root: job.row.name in ROWS
  )
  return found


def test_all_that_is_done_side_by_side(tmp_path, drawn, capsys):
  where = ["report", "--preset=tiny", f"--root={tmp_path}"]
  assert generated.main(where) == 0
  path = capsys.readouterr().out.strip()
  picture = np.asarray(Image.open(path))
  left = 24
  for frames in drawn.values():
    grid = drawing.grid(frames[:64])
    right, top = left + grid.shape[1], picture.shape[0] - 24 - grid.shape[0]
    np.testing.assert_array_equal(picture[top:-24, left:right], grid)
    left = right + 24
  assert picture.shape[1] == left


def test_rows_without_samples_are_named(tmp_path, drawn, capsys):
  where = ["report", "--preset=tiny", f"--root={tmp_path}"]
  assert generated.main([*where, "--rows=next_published_8"]) == 2
  said = capsys.readouterr().err
  assert "no samples of next_published_8-seed0 below" in said
  assert said.count("\n") == 1
