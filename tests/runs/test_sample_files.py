"""Files of generated images; hostile ones are in `test_hostile_images.py`."""

import hashlib

import numpy as np
import pytest

from pseudovideo import errors
from pseudovideo.runs import sample_files


def some(num=6, shape=(4, 4, 1)):
  rng = np.random.default_rng(0)
  videos = rng.integers(0, 256, (num, 3, *shape)).astype(np.uint8)
  return sample_files.Samples(videos[:, -1], videos[:2], 5, 1.5, 8)


def test_what_is_saved_is_loaded(tmp_path):
  path, drawn = tmp_path / sample_files.NAME, some()
  sample_files.save(path, drawn)
  loaded = sample_files.load(path)
  np.testing.assert_array_equal(loaded.images, drawn.images)
  np.testing.assert_array_equal(loaded.videos, drawn.videos)
  assert (loaded.seed, loaded.step, loaded.seconds) == (5, 8, None)
  assert loaded.file == {
    "name": "samples.npz",
    "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
  }
  assert [p.name for p in tmp_path.iterdir()] == ["samples.npz"]
  # What is unknown is left out.
  sample_files.save(path, sample_files.Samples(drawn.images, *[None] * 4))
  loaded = sample_files.load(path)
  np.testing.assert_array_equal(loaded.images, drawn.images)
  assert loaded.videos is loaded.seed is loaded.step is None


@pytest.mark.parametrize("seed", [np.arange(3), np.nan, "x", 1 + 2j])
def test_a_file_of_somebody_else_needs_images_only(tmp_path, seed):
  """Whatever it says of its seed."""
  path = tmp_path / "theirs.npz"
  np.savez(path, images=some().images, seed=seed, labels=np.ones(6))
  loaded = sample_files.load(path)
  np.testing.assert_array_equal(loaded.images, some().images)
  assert loaded.videos is loaded.seed is loaded.step is None


@pytest.mark.parametrize(
  ("arrays", "found"),
  [
    ({"pictures": some().images}, "{'pictures': ('uint8', (6, 4, 4, 1))}"),
    ({"images": some().images / 255}, "('float64', (6, 4, 4, 1))"),
    ({"images": some().images[0]}, "('uint8', (4, 4, 1))"),
    ({"images": some().images[:0]}, "('uint8', (0, 4, 4, 1))"),
    ({"images": some().images[:, :0]}, "('uint8', (6, 0, 4, 1))"),
    ({"images": some(shape=(4, 4, 5)).images}, "('uint8', (6, 4, 4, 5))"),
    ({"images": some().images, "videos": np.arange(3)}, "('int64', (3,))"),
    ({}, "it has {}"),
  ],
)
def test_other_arrays_are_listed(tmp_path, arrays, found):
  path = tmp_path / "other.npz"
  np.savez(path, **arrays)
  with pytest.raises(errors.UserError) as caught:
    sample_files.load(path)
  assert "must hold an array `images`" in str(caught.value)
  assert found in str(caught.value)


def test_files_of_another_kind(tmp_path):
  np.save(tmp_path / "plain.npy", some().images)
  (tmp_path / "text.npz").write_bytes(b"hello")
  for name in ("plain.npy", "text.npz", "", "nowhere.npz"):
    with pytest.raises(errors.UserError, match="cannot be read as an npz"):
      sample_files.load(tmp_path / name)


def test_samples_have_a_bound(tmp_path, monkeypatch):
  monkeypatch.setattr(sample_files, "MAX_BYTES", 20_000)
  path = tmp_path / "a.npz"
  np.savez_compressed(path, images=np.zeros((5, 64, 64, 1), "u1"))
  with pytest.raises(errors.UserError, match=r"at most 20,000 are read into"):
    sample_files.load(path)
  # What is not read does not count.
  small = np.zeros((5, 4, 4, 1), np.uint8)
  np.savez_compressed(path, images=small, more=np.zeros(10**6))
  np.testing.assert_array_equal(sample_files.load(path).images, small)


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
  path = tmp_path / "samples.npz"
  sample_files.save(path, some())
  before = path.read_bytes()

  def broken(file, **arrays):
    file.write(b"half")
    raise OSError("No space left on device")

  monkeypatch.setattr(np, "savez_compressed", broken)
  with pytest.raises(OSError, match="No space"):
    sample_files.save(path, some(3))
  assert path.read_bytes() == before
