"""Files appear whole or not at all; failures say which file it was."""

import errno
import pathlib

import pytest

from pseudovideo.files import atomic


def test_a_file_takes_the_place_of_another_at_the_end(tmp_path):
  path = tmp_path / "file"
  path.write_text("old")
  with atomic.replacing(path) as part:
    part.write_text("new")
    assert path.read_text() == "old"
  assert path.read_text() == "new"
  assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
  "failure", [OSError(errno.ENOSPC, "No space"), KeyboardInterrupt()]
)
def test_after_a_failure_all_is_as_before(tmp_path, failure):
  path = tmp_path / "file"
  path.write_text("old")
  with (
    pytest.raises(type(failure)) as caught,
    atomic.replacing(path) as part,
  ):
    part.write_text("half")
    raise failure
  assert path.read_text() == "old"
  assert list(tmp_path.iterdir()) == [path]
  if isinstance(failure, OSError):
    assert caught.value.filename == str(path)
    assert str(path) in str(caught.value) and "No space" in str(caught.value)


@pytest.mark.skipif(
  not pathlib.Path("/dev/full").exists(), reason="needs /dev/full, of Linux"
)
def test_a_full_device_gets_a_name():
  with (
    pytest.raises(OSError, match="No space left on device: 'log'"),
    atomic.naming("log"),
    open("/dev/full", "w") as file,
  ):
    file.write("x")
    file.flush()


def test_a_failure_that_is_named_or_has_no_number_keeps_its_text(tmp_path):
  with pytest.raises(FileNotFoundError, match="absent"), atomic.naming("x"):
    (tmp_path / "absent").read_text()
  with pytest.raises(OSError, match=r"^words$"), atomic.naming("x"):
    raise OSError("words")
