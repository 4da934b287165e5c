"""The picture of all augmentations, on the digits."""

import numpy as np

from experiments.studies import show_augmentations
from pseudovideo import augmentations
from pseudovideo.report import composing


def test_every_augmentation_has_its_strip(tmp_path, capsys, monkeypatch):
  strips = {}
  monkeypatch.setattr(
    composing,
    "labelled",
    lambda s: strips.update(s) or np.zeros((4, 4, 3), np.uint8),
  )
  arguments = ["--num=2", f"--out={tmp_path}"]
  assert show_augmentations.main(arguments) == 0
  written = tmp_path / "augmentations_digits.png"
  assert capsys.readouterr().out.strip() == str(written)
  assert written.exists()
  assert set(augmentations.TABLE) < set(strips)
  # The last column is the same two digits in every strip, seen as they are.
  width = strips["identity"].shape[1]
  for strip in strips.values():
    np.testing.assert_array_equal(
      strip[4:-4, 4 - width : -4], strips["identity"][4:-4, 4:-4]
    )
  assert strips["blur, 18 frames"].shape[1] > 2 * strips["blur"].shape[1]


def test_a_mistake_is_one_sentence(tmp_path, capsys):
  assert show_augmentations.main(["--num=0", f"--out={tmp_path}"]) == 2
  assert "1437" in capsys.readouterr().err
  wrong = ["--dataset=digit", f"--out={tmp_path}"]
  assert show_augmentations.main(wrong) == 2
  assert "did you mean 'digits'" in capsys.readouterr().err
  assert show_augmentations.main([]) == 2
  assert "--out=DIR" in capsys.readouterr().err
  assert show_augmentations.main(["--seed=-1", f"--out={tmp_path}"]) == 2
  assert "--seed" in capsys.readouterr().err


def test_tfds_sets_are_looked_for_where_the_flag_says(tmp_path, capsys):
  wrong = ["--dataset=cifar10", f"--data_dir={tmp_path}", f"--out={tmp_path}"]
  assert show_augmentations.main(wrong) == 2
  assert str(tmp_path) in capsys.readouterr().err
