"""Locks: their holders, and how long they hold."""

import os
import platform

import pytest

from pseudovideo.files import locks
from tests import processes


def test_a_lock_is_held_once_and_not_by_the_dead(tmp_path):
  path = tmp_path / "folder" / "lock"
  assert locks.holder(path) is None and not path.parent.exists()
  with processes.holding(path) as process:
    with locks.hold(path) as mine:
      assert not mine
    said = f"process {process.pid} on {platform.node()}"
    assert locks.holder(path) == said
    process.kill()
    process.wait()
    assert path.read_text() == said, "what a dead process leaves"
    assert locks.holder(path) is None
    with locks.hold(path) as mine:
      assert mine
      assert locks.holder(path) == f"process {os.getpid()} on {platform.node()}"
      with locks.hold(path) as again:
        assert not again
  assert locks.holder(path) is None


@pytest.mark.parametrize("content", ["precious", "process 1", "\0\xff\n"])
def test_files_of_others_are_not_emptied(tmp_path, content):
  mine = tmp_path / "mine"
  mine.write_text(content)
  (tmp_path / "link").symlink_to(mine)
  for name in ("mine", "link"):
    with pytest.raises(OSError), locks.hold(tmp_path / name):
      pass
    locks.holder(tmp_path / name)
  assert mine.read_text() == content
  (tmp_path / "folder").mkdir()
  assert locks.holder(tmp_path / "folder") is None
