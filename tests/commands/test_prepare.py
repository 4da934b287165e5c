"""The command that writes the official sets (without the network)."""

import importlib.util
import io
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image
from tensorflow_datasets.core.download import util

from pseudovideo import data
from pseudovideo.commands import prepare

SIZES = {"train": 5, "test": 2}


class Mnist(tfds.core.GeneratorBasedBuilder, skip_registration=True):
  """Stands for the official set: PNG bytes instead of a download."""

  VERSION = tfds.core.Version("3.0.1")
  failure: Exception | None = None

  def _info(self) -> tfds.core.DatasetInfo:
    return tfds.core.DatasetInfo(
      builder=self,
      features=tfds.features.FeaturesDict(
        {
          "image": tfds.features.Image(shape=(2, 2, 1)),
          "label": tfds.features.ClassLabel(num_classes=10),
        }
      ),
    )

  def _split_generators(self, dl_manager) -> dict:
    if self.failure is not None:
      raise self.failure
    return {s: self._generate_examples(n) for s, n in SIZES.items()}

  def _generate_examples(self, size: int):
    for i in range(size):
      buffer = io.BytesIO()
      Image.new("L", (2, 2), 100 + i).save(buffer, "PNG")
      yield i, {"image": buffer.getvalue(), "label": i}


@pytest.fixture
def stand_in(tmp_path: pathlib.Path, monkeypatch) -> None:
  """TensorFlow seems to be there, and TFDS builds our class."""
  find_spec = importlib.util.find_spec
  monkeypatch.setattr(
    importlib.util,
    "find_spec",
    lambda name: find_spec("json" if name == "tensorflow" else name),
  )
  monkeypatch.setattr(
    tfds, "builder", lambda name, **settings: Mnist(**settings)
  )
  monkeypatch.setattr(Mnist, "failure", None)
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_what_is_prepared_can_be_loaded(
  stand_in, tmp_path: pathlib.Path, capsys
):
  assert prepare.main(["mnist", f"--data_dir={tmp_path}"]) == 0
  assert f"mnist is in {tmp_path}/mnist/3.0.1" in capsys.readouterr().out
  images = data.load("mnist", data_dir=str(tmp_path))
  np.testing.assert_array_equal(
    images.train_images[:, 0, 0, 0], 100 + images.train_labels
  )
  assert sorted(images.train_labels) == list(range(5))
  assert len(images.test_images) == 2
  assert prepare.main(["mnist", f"--data_dir={tmp_path}"]) == 0  # reused


def test_data_dir_from_the_environment(
  stand_in, tmp_path: pathlib.Path, monkeypatch
):
  monkeypatch.setenv("PSEUDOVIDEO_DATA_DIR", str(tmp_path / "here"))
  assert prepare.main(["mnist"]) == 0
  assert (tmp_path / "here" / "mnist" / "3.0.1").is_dir()


@pytest.mark.parametrize(
  "failure",
  [OSError("no route"), util.DownloadError("no route")],
)
def test_failed_download(
  stand_in, failure: Exception, tmp_path: pathlib.Path, monkeypatch, capsys
):
  monkeypatch.setattr(Mnist, "failure", failure)
  assert prepare.main(["mnist", f"--data_dir={tmp_path}"]) == 2
  error = capsys.readouterr().err
  assert "Preparing 'mnist' in" in error and "no route" in error
  assert not (tmp_path / "mnist" / "3.0.1").exists()


def test_other_format_is_not_overwritten(
  stand_in, tmp_path: pathlib.Path, capsys
):
  prepare.main(["mnist", f"--data_dir={tmp_path}"])
  info = tmp_path / "mnist" / "3.0.1" / "dataset_info.json"
  info.write_text(info.read_text().replace("array_record", "tfrecord"))
  assert prepare.main(["mnist", f"--data_dir={tmp_path}"]) == 2
  assert "choose another --data_dir" in capsys.readouterr().err


@pytest.mark.parametrize("missing", ["tensorflow", "tensorflow_datasets"])
def test_missing_extra_is_one_sentence(missing: str, monkeypatch, capsys):
  find_spec = importlib.util.find_spec
  monkeypatch.setattr(
    importlib.util,
    "find_spec",
    lambda name: None if name == missing else find_spec("json"),
  )
  assert prepare.main(["cifar10"]) == 2
  captured = capsys.readouterr()
  assert captured.out == ""
  assert captured.err.count("\n") == 1
  assert f"needs {missing}, which is not installed" in captured.err
  assert "make install EXTRA=prepare" in captured.err


def test_wrong_arguments(capsys):
  for arguments in ([], ["imagenet"], ["mnist", "--dir=x"]):
    with pytest.raises(SystemExit) as info:
      prepare.main(arguments)
    assert info.value.code == 2
    said = capsys.readouterr().err
    assert "usage: python -m pseudovideo.data.prepare" in said


def test_command_line_lists_the_sets():
  out = subprocess.run(
    [sys.executable, "-m", "pseudovideo.data.prepare", "--help"],
    capture_output=True,
    text=True,
    check=True,
  )
  assert "celeb_a,cifar10,mnist" in out.stdout.replace(" ", "")
  assert out.stderr == ""
