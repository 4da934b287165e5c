"""On disks that are really full one sentence is said, and nothing is lost."""

import json
import subprocess
import sys

import pytest

from benchmarks import full_disk

needs_mounts = pytest.mark.skipif(
  not full_disk.can_mount(), reason="needs Linux with user namespaces"
)
IN_PROCESS = ",".join(full_disk.ROWS)


@pytest.mark.slow("fills disks with every kind of file")
@needs_mounts
def test_full_disks(tmp_path):
  out = tmp_path / "full.json"
  argv = [f"--rows={IN_PROCESS}", "--sizes=3", f"--out={out}"]
  assert full_disk.main(argv) == 0
  table = json.loads(out.read_text())["values"]
  assert list(table) == list(full_disk.ROWS)
  for name, found in table.items():
    assert any(each["whole"] for each in found), "some fit before"
    ended = all("Error: " in each["said"] for each in found)
    assert ended == (name not in ("metrics", "data_cache"))
    assert not any(each["left"] for each in found)


@pytest.mark.slow("trains on a disk that is full")
@needs_mounts
def test_training_on_a_full_disk_goes_on_when_there_is_room():
  code = (
    "import sys; from benchmarks import full_disk as it\n"
    "found = it.train(1000); print(found); sys.exit(not it.good(found))"
  )
  subprocess.run([*full_disk.UNSHARE, sys.executable, "-c", code], check=True)


FINE = {"code": 2, "said": "Error: the disk is full; wait.", "left": []}


def test_what_is_not_good():
  assert full_disk.good(FINE)
  for change in (
    {"code": 0},
    {"code": 0, "said": ""},
    {"said": ""},
    {"said": "Error: the disk is full;\nTraceback"},
    {"said": "Error: something."},
    {"left": [".x.part"]},
    {"then": 1},
  ):
    assert not full_disk.good({**FINE, **change})
