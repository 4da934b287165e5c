"""samples.npz: generated images, kept apart from what scores them.

Anybody's images can be scored when they are written in this form, so that a
file is read with suspicion: nothing in it is executed, and whatever is wrong
with it is a sentence.
"""

import dataclasses
import hashlib
import io
import os
import pathlib
import zipfile

import numpy as np

from pseudovideo import errors

NAME = "samples.npz"


@dataclasses.dataclass(frozen=True)
class Samples:
  """Generated images and what they cost.

  Attributes:
    images: (N, H, W, C) uint8, the last frames.
    videos: (n, T, H, W, C) uint8, the first few whole videos.
    seed: of the key; None when unknown.
    seconds: wall time, compilation included; None when unknown.
    step: of the checkpoint; None when unknown.
    file: name and SHA-256 of the file that they were read from; None for
      those just drawn.
    per_second: images drawn per second after the first batch, and so without
      compilation; batches are counted whole, even if the last one is not kept
      whole. None when unknown, as of a single batch.
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
  part = path.with_name(f".{path.name}.{os.getpid()}.part")
  with part.open("wb") as file:
    known = {
      name: value
      for name in ("images", "videos", "seed", "step")
      if (value := getattr(drawn, name)) is not None
    }
    np.savez_compressed(file, **known)
  part.replace(path)


def load(path: str | os.PathLike) -> Samples:
  """Reads an npz file with `images`, never executing anything in it.

  Raises:
    UserError: it is no such file.
  """
  try:
    content = pathlib.Path(path).read_bytes()
    if not zipfile.is_zipfile(io.BytesIO(content)):
      raise ValueError("it is no zip file")
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
      loaded = {name: file[name] for name in file.files}
  except Exception as error:  # A damaged file can raise a dozen kinds.
    raise errors.UserError(
      f"{path} cannot be read as an npz file of arrays: "
      f"{str(error).rstrip('.')}."
    ) from error
  frames, videos = loaded.get("images"), loaded.get("videos")
  if not _are_pictures(frames, 4) or not (
    videos is None or _are_pictures(videos, 5)
  ):
    raise errors.UserError(
      f"{path} must hold an array `images`, uint8 (N, H, W, C), and may hold "
      "`videos`, uint8 (n, T, H, W, C); it has "
      f"{ {name: (a.dtype.name, a.shape) for name, a in loaded.items()} }."
    )
  numbers = {
    name: int(loaded[name])
    for name in ("seed", "step")
    if name in loaded and loaded[name].shape == ()
  }
  return Samples(
    frames,
    videos,
    numbers.get("seed"),
    None,
    numbers.get("step"),
    {
      "name": pathlib.Path(path).name,
      "sha256": hashlib.sha256(content).hexdigest(),
    },
  )


def _are_pictures(array: np.ndarray | None, ndim: int) -> bool:
  return array is not None and array.ndim == ndim and array.dtype == np.uint8
