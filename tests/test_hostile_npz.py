"""npz and npy files of images that attack what scores and shows them."""

import os
import subprocess
import sys

import numpy as np
import pytest

from pseudovideo import errors, npz_files, sample_files
from pseudovideo.metrics import sources
from tests import hostile

READERS = ("tests.hostile:consume", "pseudovideo.sample_files:load")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
  folder = tmp_path_factory.mktemp("files")
  paths = hostile.write(
    folder, hostile.hostile_npz(folder / "executed"), ".npz"
  )
  (folder / "pipe.npz").unlink(missing_ok=True)
  os.mkfifo(folder / "pipe.npz")
  (folder / "loop.npz").symlink_to(folder / "loop.npz")
  return paths | {w: folder / f"{w}.npz" for w in ("pipe", "loop")}


def test_every_archive_is_refused(files):
  cases = [(reader, path) for path in files.values() for reader in READERS]
  titles = [what for what in files for _ in READERS]
  found = hostile.outcomes(cases)
  for what, (_, path), outcome in zip(titles, cases, found, strict=True):
    hostile.assert_refused(outcome, path, what)
  assert not (files["objects"].parent / "executed").exists()


def test_every_array_is_refused(tmp_path):
  """The same arrays without an archive around them."""
  contents = {
    "10^15": hostile.npy(hostile.shaped("(1000000000000000, 2, 2, 1)")),
    "4 GB of header": hostile.npy(version=2, length=2**32 - 1),
    "objects": hostile.objects(f"touch {tmp_path / 'executed'}"),
    "an archive": hostile.in_zip(images=hostile.npy()),
    "code": hostile.npy(b"__import__('os').system('true')"),
    "empty": b"",
  }
  paths = hostile.write(tmp_path, contents, ".npy")
  with paths["4 GB of header"].open("r+b") as file:
    file.truncate(2**32 + 100)
  found = hostile.outcomes([(READERS[0], path) for path in paths.values()])
  for (what, path), outcome in zip(paths.items(), found, strict=True):
    hostile.assert_refused(outcome, path, what)
  assert not (tmp_path / "executed").exists()


def test_a_thousandfold_of_zeros(tmp_path):
  """True bombs: refused by their number, or read part by part."""
  many = tmp_path / "many.npz"
  num = sources.MAX_NUM + 1
  many.write_bytes(hostile.bomb(hostile.shaped(f"({num}, 1, 1, 1)"), num))
  large = tmp_path / "large.npz"
  num = 2**29
  shape = hostile.shaped(f"({num // 2**12}, 64, 64, 1)")
  large.write_bytes(hostile.bomb(shape, num))
  assert large.stat().st_size < num / 900
  refused, read = hostile.outcomes([(READERS[0], many), (READERS[0], large)])
  hostile.assert_refused(refused, many, "many")
  assert "at most 10,000,000 are scored at once" in refused.said
  assert read.kind is None


def test_samples_have_a_bound(tmp_path, monkeypatch):
  monkeypatch.setattr(sample_files, "MAX_BYTES", 20_000)
  np.savez_compressed(tmp_path / "a.npz", images=np.zeros((5, 64, 64, 1), "u1"))
  with pytest.raises(errors.UserError, match=r"at most 20,000 are read into"):
    sample_files.load(tmp_path / "a.npz")
  # What is not read does not count.
  small = np.zeros((5, 4, 4, 1), np.uint8)
  np.savez_compressed(tmp_path / "a.npz", images=small, more=np.zeros(10**6))
  np.testing.assert_array_equal(
    sample_files.load(tmp_path / "a.npz").images, small
  )


@pytest.mark.parametrize("seed", [np.nan, "x", 1 + 2j, np.datetime64("NaT")])
def test_a_seed_that_is_no_number(tmp_path, seed):
  images = np.zeros((2, 4, 4, 1), np.uint8)
  np.savez(tmp_path / "a.npz", images=images, seed=np.array(seed))
  assert sample_files.load(tmp_path / "a.npz").seed is None


@pytest.mark.parametrize("shape", [(0, 4, 4, 1), (2, 0, 4, 1), (2, 4, 4, 5)])
def test_samples_that_are_no_pictures(tmp_path, shape):
  np.savez(tmp_path / "a.npz", images=np.zeros(shape, np.uint8))
  with pytest.raises(errors.UserError, match="must hold an array `images`"):
    sample_files.load(tmp_path / "a.npz")


@pytest.mark.parametrize("compress", [np.savez, np.savez_compressed])
def test_what_numpy_writes_is_read(tmp_path, compress):
  """Every type of number, every order and version; read-only."""
  rng = np.random.default_rng(0)
  arrays = {
    "a": rng.normal(size=(3, 4)),
    "fortran": np.asfortranarray(rng.normal(size=(3, 4, 2))),
    "number": np.array(7),
    "none": np.zeros((0, 3), np.float32),
    "large": rng.integers(0, 255, 3_000_000, np.uint8),
    "fields": np.zeros(2, [(f"x{i}" * 40, "f4") for i in range(60)]),
  }
  compress(tmp_path / "a.npz", **arrays)
  path = tmp_path / "a.npz"
  with npz_files.opened(path) as archive:
    for info in archive.infolist():
      npz_files.check_entry(path, info)
      found = npz_files.read_array(archive, info)
      expected = arrays[info.filename.removesuffix(".npy")]
      assert found.dtype == expected.dtype and not found.flags.writeable
      np.testing.assert_array_equal(found, expected)


def test_the_command_says_one_sentence(files):
  done = subprocess.run(
    [
      *(sys.executable, "-m", "pseudovideo.metrics", "--metrics=PSNR"),
      f"--images={files['header bomb']}",
      f"--against={files['header bomb']}",
    ],
    cwd=hostile.ROOT,
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 2, done.stderr
  assert "Traceback" not in done.stderr
  assert str(files["header bomb"]) in done.stderr.splitlines()[-1]
