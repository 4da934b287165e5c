"""samples.npz: generated images, kept apart from what scores them.

Anybody's images can be scored if they are written in this form. So a file is
read with suspicion: nothing in it is executed, and every fault becomes a
`UserError`.
"""

import dataclasses
import os
import pathlib
from collections.abc import Mapping

import numpy as np

from pseudovideo import errors
from pseudovideo.files import atomic, npz, untrusted

NAME = "samples.npz"
# Of `images` and `videos` in memory: 80,000 images of 128x128, say.
MAX_BYTES = 2**32
_ARRAYS = ("images", "videos", "seed", "step")
_NAMED = 8  # arrays that a message lists


@dataclasses.dataclass(frozen=True)
class Samples:
  """Generated images and what they cost.

  Attributes:
    images: (N, H, W, C) uint8, the last frames.
    videos: (n, T, H, W, C) uint8, the first few whole videos.
    seed: seed of the key; None when unknown.
    seconds: wall time, compilation included; None when unknown.
    step: step of the checkpoint; None when unknown.
    file: name and SHA-256 of the file that the images were read from; None for
      images just drawn.
    per_second: images drawn per second after the first batch, and so without
      compilation. Batches count whole, even if not all of the last one is kept.
      None when unknown, as for a single batch.
  """

  images: np.ndarray
  videos: np.ndarray | None
  seed: int | None
  seconds: float | None
  step: int | None
  file: dict[str, str] | None = None
  per_second: float | None = None


def save(path: pathlib.Path, drawn: Samples) -> None:
  """Writes `images`, `videos`, `seed` and `step` to an npz file, atomically.

  What is None is left out.
  """
  known = {
    name: value
    for name in ("images", "videos", "seed", "step")
    if (value := getattr(drawn, name)) is not None
  }
  with atomic.replacing(path) as part, part.open("wb") as file:
    np.savez_compressed(file, **known)


def load(path: str | os.PathLike) -> Samples:
  """Reads an npz file with `images`, never executing anything in it.

  Raises:
    UserError: the file is damaged, holds no images, or its arrays are larger
      than `MAX_BYTES`.
  """
  try:
    digest = untrusted.sha256(path)
    loaded = _read(path)
  except errors.UserError:
    raise
  except Exception as error:  # A damaged file can raise a dozen kinds.
    raise errors.UserError(
      f"{path} cannot be read as an npz file of arrays: "
      f"{untrusted.reason(error)}."
    ) from error
  numbers = {
    name: int(loaded[name])
    for name in ("seed", "step")
    if name in loaded and _is_number(loaded[name])
  }
  return Samples(
    loaded["images"],
    loaded.get("videos"),
    numbers.get("seed"),
    None,
    numbers.get("step"),
    {"name": pathlib.Path(path).name, "sha256": digest},
  )


def _read(path: str | os.PathLike) -> dict[str, np.ndarray]:
  """The arrays of `_ARRAYS` that are there, after all headers were checked."""
  with npz.opened(path) as archive:
    infos, headers = {}, {}
    for info in archive.infolist():
      npz.check_entry(path, info)
      name = info.filename.removesuffix(".npy")
      with archive.open(info) as file:
        headers[name] = npz.read_header(file, info.file_size, name)
      infos[name] = info
    _check(path, headers)
    size = sum(i.file_size for n, i in infos.items() if n in _ARRAYS)
    if size > MAX_BYTES:
      raise errors.UserError(
        f"{path} has arrays of {size:,} bytes, and at most {MAX_BYTES:,} are "
        "read into memory; keep fewer images, or score them with python -m "
        "pseudovideo.metrics, which reads them part by part."
      )
    return {
      name: npz.read_array(archive, infos[name])
      for name in _ARRAYS
      if name in infos
    }


def _check(path: str | os.PathLike, headers: Mapping[str, npz.Header]) -> None:
  frames, videos = headers.get("images"), headers.get("videos")
  if not _are_pictures(frames, 4) or not (
    videos is None or _are_pictures(videos, 5)
  ):
    first = list(headers.items())[:_NAMED]
    found = {n[:80]: (h.dtype.name, h.shape) for n, h in first}
    raise errors.UserError(
      f"{path} must hold an array `images`, uint8 (N, H, W, C), and may hold "
      f"`videos`, uint8 (n, T, H, W, C), with C = 1 or 3; it has {found}."
    )


def _are_pictures(header: npz.Header | None, ndim: int) -> bool:
  return (
    header is not None
    and header.dtype == np.uint8
    and len(header.shape) == ndim
    and min(header.shape) > 0
    and header.shape[-1] in (1, 3)
  )


def _is_number(array: np.ndarray) -> bool:
  return array.shape == () and array.dtype.kind in "iu"
