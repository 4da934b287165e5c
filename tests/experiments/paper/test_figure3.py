"""Figure 3, of digits."""

import numpy as np
import scipy.ndimage
from PIL import Image

from experiments.paper import figure3
from pseudovideo import data


def cell(picture, row, frame):
  """A frame of 8x8 pixels, each seen as 6x6, between lines of 2."""
  top, left = 2 + 50 * row, 2 + 50 * frame
  return picture[top : top + 48 : 6, left : left + 48 : 6, 0].astype(float)


def test_every_strip_is_one_training_image_blurred(tmp_path, capsys):
  where = ["--dataset=digits", f"--root={tmp_path}"]
  assert figure3.main(["run", *where]) == 0
  path = tmp_path / "figures" / "figure3_digits.png"
  assert capsys.readouterr().out.strip() == str(path)
  picture = np.asarray(Image.open(path))
  assert picture.shape == (4 * 50 + 2, 8 * 50 + 2, 3)
  training = data.load("digits").train_images[..., 0]
  for row in range(4):
    wanted = image = cell(picture, row, 7)
    assert (training == image).all((1, 2)).any()
    for i in range(7):
      # 11 taps: 5 at either side, whatever the deviation.
      wanted = scipy.ndimage.gaussian_filter(
        wanted, np.exp(0.05 * i), mode="mirror", radius=5
      )
      got = cell(picture, row, 6 - i)
      np.testing.assert_allclose(got, wanted, atol=0.51)
  assert figure3.main(["report", *where]) == 0
  assert capsys.readouterr().out.strip() == str(path)


def test_there_is_no_report_of_what_was_not_drawn(tmp_path, capsys):
  assert figure3.main(["report", f"--root={tmp_path}"]) == 2
  assert "draw it with run" in capsys.readouterr().err
