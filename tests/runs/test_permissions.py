"""What may not be read is not damaged: it stays, and a sentence says so."""

import pathlib

import numpy as np
import pytest

from pseudovideo import errors
from pseudovideo.runs import checkpoints
from tests import users

PARTS = ("params", "extra")
WAYS = {
  "manifest": lambda run: [run / "8" / "_CHECKPOINT_METADATA"],
  "step": lambda run: [run / "8"],
  "state": lambda run: [run / "8" / "state"],
  "arrays": lambda run: [
    p for p in (run / "8/state").rglob("*") if p.is_file()
  ],
  "folder of arrays": lambda run: [run / "8" / "state" / "d"],
  "all": lambda run: [run],
}


@pytest.fixture
def workdir():
  with users.folder() as folder:
    store = checkpoints.Checkpoints(folder / checkpoints.FOLDER)
    for step in (4, 8):
      parts = {name: {"w": np.full((9, 9), step)} for name in PARTS}
      store.save(step, parts, config={})
    store.close()
    users.give(folder)
    yield folder


def _contents(folder: pathlib.Path) -> list[str]:
  return sorted(path.relative_to(folder).as_posix() for path in
                folder.rglob("*"))  # fmt: skip


@pytest.mark.parametrize("mode", [0o000, 0o200, 0o600])
@pytest.mark.parametrize("way", WAYS)
def test_a_checkpoint_that_may_not_be_read_stays(workdir, way, mode):
  run = workdir / checkpoints.FOLDER
  paths, before = WAYS[way](run), _contents(workdir)
  if mode == 0o600 and not all(path.is_dir() for path in paths):
    pytest.skip("a file needs no more")
  modes = [path.stat().st_mode for path in paths]
  like = {name: {"w": np.zeros((9, 9), int)} for name in PARTS}
  for path in paths:
    path.chmod(mode)

  def restore():
    store = checkpoints.Checkpoints(run)
    try:
      return store.restore(like=like)
    finally:
      store.close()

  with users.bound():
    for call in (restore, lambda: checkpoints.load(workdir, parts=PARTS)):
      with pytest.raises(errors.UserError, match="permissions"):
        call()
  for path, old in zip(paths, modes, strict=True):
    path.chmod(old)
  assert _contents(workdir) == before
  with users.bound():
    assert restore()[0] == 8
