"""Files appear whole or not at all; failures say which file it was."""

import errno
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from pseudovideo.files import atomic, leftovers, plain_names


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


DEAD = """
import os, pathlib, signal, sys
from pseudovideo.files import atomic, leftovers
path = pathlib.Path(sys.argv[1])
with atomic.replacing(path) as part, leftovers.new_folder(path.parent) as new:
  part.write_text("half")
  (new / "array").write_text("half")
  os.kill(os.getpid(), signal.SIGKILL)
"""


def _names(folder: pathlib.Path) -> set[str]:
  return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("name", ["file", "odd [name]?\n", "x" * 240])
def test_what_a_killed_writer_left_goes_with_the_next(tmp_path, name):
  path = tmp_path / name
  killed = subprocess.run([sys.executable, "-c", DEAD, path], check=False)
  assert killed.returncode == -signal.SIGKILL
  assert len(_names(tmp_path)) == 2
  with atomic.replacing(tmp_path / "another") as part:
    part.write_text("whole")
  assert _names(tmp_path) == {"another"}


def _left(folder: pathlib.Path, writer: str) -> list[pathlib.Path]:
  part, new = folder / f".x.{writer}.part", folder / f".new-{writer}-01234567"
  part.write_text("")
  new.mkdir()
  (new / "array").write_text("")
  return [part, new]


@pytest.mark.parametrize("writer", ["this", "elsewhere"])
def test_what_may_be_of_a_living_writer_stays_for_a_day(tmp_path, writer):
  """The parent lives; and a number says nothing about another machine."""
  machine = leftovers.machine() if writer == "this" else "0" * 8
  paths = _left(tmp_path, f"{machine}-{os.getppid()}")
  leftovers.remove(tmp_path)
  assert all(path.exists() for path in paths)
  yesterday = time.time() - leftovers.AGE - 60
  for path in [*paths, paths[1] / "array"]:
    os.utime(path, (yesterday, yesterday))
  (paths[1] / "array").write_text("more")
  os.utime(paths[1], (yesterday, yesterday))
  leftovers.remove(tmp_path)
  assert [path.exists() for path in paths] == [False, True], "written today"
  os.utime(paths[1] / "array", (yesterday, yesterday))
  leftovers.remove(tmp_path)
  assert _names(tmp_path) == set()


def test_what_is_the_users_own_stays(tmp_path):
  names = [".new-pictures", ".new-", "x.part", ".x.part", ".x.1.part", ".part"]
  old = time.time() - 2 * leftovers.AGE
  for name in names:
    (tmp_path / name).mkdir()
    os.utime(tmp_path / name, (old, old))
  leftovers.remove(tmp_path)
  assert _names(tmp_path) == set(names)
  leftovers.remove(tmp_path / "nowhere")


@pytest.mark.parametrize("mask", [0o002, 0o022, 0o077])
def test_permissions_are_those_of_the_umask(tmp_path, mask):
  before = os.umask(mask)
  try:
    with atomic.replacing(tmp_path / "folder" / "file") as part:
      part.write_text("")
  finally:
    os.umask(before)
  assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o777 & ~mask
  assert (tmp_path / "folder/file").stat().st_mode & 0o777 == 0o666 & ~mask


@pytest.mark.parametrize("variable", ["$TMPDIR is odd", "$TMPDIR is plain"])
def test_folders_get_plain_names(tmp_path, monkeypatch, variable):
  odd = tmp_path / "a[b]*?"
  odd.mkdir()
  place = odd if "odd" in variable else tmp_path
  monkeypatch.setattr(plain_names.tempfile, "gettempdir", lambda: str(place))
  with plain_names.folder(odd) as folder:
    (folder / "file").write_text("x")
    assert not set("[]*?") & set(str(folder))
  assert _names(odd) == {"file"} and _names(tmp_path) == {odd.name}
