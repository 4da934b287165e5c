"""`pseudovideo.data.load`: names."""

import subprocess
import sys

import pytest

from pseudovideo import data, errors


def test_unknown_name_lists_the_choices():
  with pytest.raises(errors.UserError, match="did you mean 'cifar10'") as info:
    data.load("cifar-10")
  for name in data.SETS | data.CLIP_SETS:
    assert name in str(info.value)


def test_only_a_folder_takes_a_path():
  with pytest.raises(errors.UserError, match="write 'digits'"):
    data.load("digits:8")


def test_import_is_light():
  """The training path pays for Pillow, TFDS and so on only when it reads."""
  heavy = ["PIL", "sklearn", "tensorflow_datasets", "array_record", "tqdm"]
  code = (
    "import sys, pseudovideo.data, pseudovideo.data.pipeline\n"
    f"print([m for m in {heavy} if m in sys.modules])"
  )
  out = subprocess.run(
    [sys.executable, "-c", code], capture_output=True, text=True, check=True
  )
  assert out.stdout.strip() == "[]"
