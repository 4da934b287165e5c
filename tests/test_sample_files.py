"""Files of generated images: written, read, damaged, hostile."""

import hashlib
import pickle

import numpy as np
import pytest

from pseudovideo import errors, sample_files


def some(num=6, shape=(4, 4, 1)):
  rng = np.random.default_rng(0)
  videos = rng.integers(0, 256, (num, 3, *shape)).astype(np.uint8)
  return sample_files.Samples(videos[:, -1], videos[:2], 5, 1.5, 8)


class Payload:
  """Creates a file when it is unpickled."""

  def __init__(self, path):
    self.path = str(path)

  def __reduce__(self):
    return (open, (self.path, "w"))


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


def test_a_file_of_somebody_else_needs_images_only(tmp_path):
  path = tmp_path / "theirs.npz"
  np.savez(path, images=some().images, seed=np.arange(3), labels=np.ones(6))
  loaded = sample_files.load(path)
  np.testing.assert_array_equal(loaded.images, some().images)
  assert loaded.videos is loaded.seed is loaded.step is None


@pytest.mark.parametrize(
  ("arrays", "found"),
  [
    ({"pictures": some().images}, "{'pictures': ('uint8', (6, 4, 4, 1))}"),
    ({"images": some().images / 255}, "('float64', (6, 4, 4, 1))"),
    ({"images": some().images[0]}, "('uint8', (4, 4, 1))"),
    ({"images": some().images, "videos": np.arange(3)}, "('int64', (3,))"),
    ({}, "it has {}"),
  ],
)
def test_other_arrays_are_listed(tmp_path, arrays, found):
  path = tmp_path / "other.npz"
  np.savez(path, **arrays)
  with pytest.raises(errors.UserError) as caught:
    sample_files.load(path)
  assert "must hold an array `images`, uint8 (N, H, W, C)" in str(caught.value)
  assert found in str(caught.value)


def test_nothing_is_unpickled(tmp_path):
  trap = tmp_path / "executed"
  hostile = np.empty(1, object)
  hostile[0] = Payload(trap)
  np.savez(tmp_path / "array.npz", images=some().images, extra=hostile)
  (tmp_path / "bare.npz").write_bytes(pickle.dumps(Payload(trap)))
  for name in ("array.npz", "bare.npz"):
    with pytest.raises(errors.UserError, match="cannot be read as an npz"):
      sample_files.load(tmp_path / name)
  assert not trap.exists()
  pickle.loads((tmp_path / "bare.npz").read_bytes()).close()
  assert trap.exists(), "the payload works"


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x05\x06", None])
def test_files_of_another_kind(tmp_path, content):
  path = tmp_path / "samples.npz"
  if content is not None:
    path.write_bytes(content)
  with pytest.raises(errors.UserError, match="cannot be read as an npz"):
    sample_files.load(path)


def test_a_plain_array_and_a_folder_are_no_npz(tmp_path):
  np.save(tmp_path / "plain.npy", some().images)
  for path in (tmp_path / "plain.npy", tmp_path):
    with pytest.raises(errors.UserError, match="cannot be read as an npz"):
      sample_files.load(path)


def test_damage_is_noticed_or_harmless(tmp_path):
  """Cut anywhere, or one byte changed: a sentence, or the same images."""
  path, drawn = tmp_path / "samples.npz", some()
  sample_files.save(path, drawn)
  good, noticed = path.read_bytes(), 0
  cuts = [good[:length] for length in range(0, len(good), 7)]
  flips = []
  for place in range(0, len(good), 3):
    flipped = bytearray(good)
    flipped[place] ^= 0xFF
    flips.append(bytes(flipped))
  for content in (*cuts, *flips):
    path.write_bytes(content)
    try:
      images = sample_files.load(path).images
    except errors.UserError as error:
      assert str(error).endswith(".")
      noticed += 1
    else:
      np.testing.assert_array_equal(images, drawn.images)
  assert noticed > len(cuts) + len(flips) // 2


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


def test_what_is_unknown_is_left_out(tmp_path):
  drawn = sample_files.Samples(some().images, None, None, None, None)
  sample_files.save(tmp_path / "x.npz", drawn)
  loaded = sample_files.load(tmp_path / "x.npz")
  np.testing.assert_array_equal(loaded.images, drawn.images)
  assert (loaded.videos, loaded.seed, loaded.step) == (None, None, None)
