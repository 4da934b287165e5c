"""Files that were cut or changed are read as they were, or refused."""

import numpy as np
import pytest

from pseudovideo import convert, errors
from pseudovideo.runs import sample_files
from tests.files import torch_zip

SIX = np.arange(6, dtype=np.float32)


def write_samples(path):
  rng = np.random.default_rng(0)
  videos = rng.integers(0, 256, (6, 3, 4, 4, 1)).astype(np.uint8)
  sample_files.save(
    path, sample_files.Samples(videos[:, -1], videos[:2], 5, 1.5, 8)
  )


def read_samples(path):
  loaded = sample_files.load(path)
  return {"images": loaded.images}


ARRAYS = {"a": SIX, "b": np.ones((2, 2), np.float16), "c": np.array(1)}
TENSORS = torch_zip.state_dict(ARRAYS)
DAMAGED = {
  "npz": (lambda path: convert.write(path, ARRAYS), convert.read),
  "safetensors": (
    lambda path: convert.write(path, {n: ARRAYS[n] for n in "ab"}),
    convert.read,
  ),
  "torch": (lambda path: torch_zip.save(path, TENSORS), convert.read),
  "legacy": (lambda path: torch_zip.save_legacy(path, TENSORS), convert.read),
  "samples.npz": (write_samples, read_samples),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_damage_is_a_sentence(tmp_path, kind):
  """Cut anywhere, or a byte changed; what has a checksum stays what it was."""
  path = tmp_path / (kind if "." in kind else f"weights.{kind}")
  write, read = DAMAGED[kind]
  write(path)
  whole, good = path.read_bytes(), read(path)
  largest = max(array.size for array in good.values())
  step = max(1, len(whole) // 300)
  noticed = 0
  for place in range(0, len(whole), step):
    path.write_bytes(whole[:place])
    with pytest.raises(errors.UserError) as caught:
      read(path)
    said = str(caught.value)
    assert said.endswith(".") and "\n" not in said and str(path) in said
    changed = bytes([whole[place] ^ 0x15])
    path.write_bytes(whole[:place] + changed + whole[place + 1 :])
    try:
      found = read(path)
    except errors.UserError:
      noticed += 1
      continue
    assert all(array.size <= largest for array in found.values())
    if kind in ("npz", "samples.npz"):
      for name, array in found.items():
        np.testing.assert_array_equal(array, good[name])
  assert noticed > len(whole) // step // 4
