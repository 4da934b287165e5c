"""Archives of arrays are read as numpy wrote them."""

import numpy as np
import pytest

from pseudovideo.files import npz


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
def test_what_numpy_writes_is_read(tmp_path, write):
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
  path = tmp_path / "a.npz"
  write(path, **arrays)
  with npz.opened(path) as archive:
    for info in archive.infolist():
      npz.check_entry(path, info)
      found = npz.read_array(archive, info)
      expected = arrays[info.filename.removesuffix(".npy")]
      assert found.dtype == expected.dtype and not found.flags.writeable
      np.testing.assert_array_equal(found, expected)
