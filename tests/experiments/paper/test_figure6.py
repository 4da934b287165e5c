"""Figure 6, of a digit."""

import numpy as np
from PIL import Image

from experiments.paper import figure6
from pseudovideo import data
from pseudovideo.report import composing


def test_both_chains_end_with_one_training_image(tmp_path, capsys, monkeypatch):
  strips = {}
  labelled = composing.labelled
  monkeypatch.setattr(
    composing,
    "labelled",
    lambda found: strips.update(found) or labelled(found),
  )
  where = ["--dataset=digits", f"--root={tmp_path}"]
  assert figure6.main(["run", *where]) == 0
  path = tmp_path / "figures" / "figure6_digits.png"
  assert capsys.readouterr().out.strip() == str(path)
  assert list(strips) == ["first order", "high order"], "top, bottom"
  first, high = strips.values()
  # A cell is the image enlarged 6 times, between lines of 2 pixels.
  cells = [
    strip[2:50:6, 2:, 0][:, [i * 50 + j for i in range(8) for j in
                             range(0, 48, 6)]].reshape(8, 8, 8)
    for strip in (first, high)
  ]  # fmt: skip
  image = cells[0][:, -1]
  np.testing.assert_array_equal(cells[1][:, -1], image)
  training = data.load("digits").train_images[..., 0]
  assert (training == image).all((1, 2)).any()
  # Same noise next to the image, up to one grey level, as the two are drawn by
  # programs of their own; further away high order is the cleaner one.
  difference = np.int32(cells[0][:, -2]) - np.int32(cells[1][:, -2])
  assert np.abs(difference).max() <= 1
  errors = [
    np.square(c[:, 0].astype(float) - image.astype(float)).mean() for c in cells
  ]
  assert errors[1] < errors[0]
  picture = np.asarray(Image.open(path))
  assert picture.shape[0] > 2 * first.shape[0]
  assert figure6.main(["report", *where]) == 0
  assert capsys.readouterr().out.strip() == str(path)


def test_there_is_no_report_of_what_was_not_drawn(tmp_path, capsys):
  assert figure6.main(["report", f"--root={tmp_path}"]) == 2
  assert "draw it with run" in capsys.readouterr().err
  assert figure6.main(["run", "--preset=tiny"]) == 2
  assert "no flag named '--preset'" in capsys.readouterr().err
