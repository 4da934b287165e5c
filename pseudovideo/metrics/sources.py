"""Sets of images that are scored: read block by block, never all at once."""

import dataclasses
import hashlib
import json
import math
import os
import pathlib
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from jaxtyping import UInt8

from pseudovideo import data, errors, pixels
from pseudovideo.data import decoding, folder, image_files
from pseudovideo.data.image_set import ImageSet
from pseudovideo.files import npz, untrusted

BLOCK = 256
BLOCK_BYTES = 1 << 28  # of a block, unless one item has more
MAX_BYTES = 1 << 26  # of one image or video
MAX_NUM = 10**7  # of images; scores hold some numbers of each in memory
SPLITS = ("train", "test")
# Names that samples have in npz files: ours, the default of `np.savez`,
# others'.
NAMES = ("images", "arr_0", "samples", "videos")


@dataclasses.dataclass(frozen=True, eq=False)
class ImageSource:
  """A set of images, or of videos, in an order that never changes.

  Attributes:
    title: title for people, such as `digits, train`.
    identity: JSON facts that change whenever the images do.
    num: N.
    shape: (H, W, C), or (T, H, W, C) of videos.
    blocks: function that returns a new iterator over uint8 arrays (n, *shape),
      n = `block_length` and less in the last, so that sets of one shape and
      number are cut alike.
    image_set: the data set that it is a split of, if it is one.
  """

  title: str
  identity: Any
  num: int
  shape: tuple[int, ...]
  blocks: Callable[[], Iterator[np.ndarray]]
  image_set: ImageSet | None = None

  def about(self) -> dict[str, Any]:
    """The entries of a record of scores about the set."""
    facts = json.dumps(self.identity, sort_keys=True).encode()
    return {
      "title": self.title,
      "num": self.num,
      "shape": list(self.shape),
      "identity_sha256": hashlib.sha256(facts).hexdigest(),
    }

  def chosen(self, num: int | None, seed: int) -> "ImageSource":
    """`num` of the images, drawn with `seed`, in their old order.

    Sets are often sorted by class, so that the first ones are no sample.

    Raises:
      UserError: there are fewer.
    """
    if num is None or num == self.num:
      return self
    if num > self.num:
      raise errors.UserError(
        f"{self.title} has {self.num:,} images and {num:,} were to be scored; "
        "give more images or ask for fewer."
      )
    places = np.random.default_rng(seed).permutation(self.num)[:num]
    mask = np.zeros(self.num, bool)
    mask[places] = True
    return dataclasses.replace(
      self,
      identity={"of": self.identity, "num": num, "seed": seed},
      num=num,
      blocks=lambda: _masked(self.blocks(), mask, block_length(self.shape)),
    )


def block_length(shape: tuple[int, ...]) -> int:
  """The number of images, or videos, of a shape that are in memory at once."""
  return max(1, min(BLOCK, BLOCK_BYTES // math.prod(shape)))


def of_array(
  images: UInt8[np.ndarray, "N ..."], title: str, identity: Any = None
) -> ImageSource:
  """A set that is in memory or memory-mapped.

  Args:
    images: (N, H, W, C), or (N, T, H, W, C) videos, uint8.
    title: see `ImageSource`.
    identity: see `ImageSource`; None: nothing seen of the set is kept on disk.
  """
  shape = tuple(images.shape[1:])
  length = block_length(shape)

  def blocks():
    for start in range(0, len(images), length):
      yield images[start : start + length]

  return ImageSource(title, identity, len(images), shape, blocks)


def of_split(
  image_set: ImageSet, split: str, binarize: str = "none"
) -> ImageSource:
  """One split of a data set, binarized by the draw that all scores share.

  Args:
    image_set: the data set.
    split: one of `SPLITS`.
    binarize: one of `pixels.BINARIZE`.
  """
  images = getattr(image_set, f"{split}_images")
  # Titles are published, and say nothing of the folders of a machine.
  kind, _, path = image_set.name.partition(":")
  source = of_array(
    pixels.fixed_binarization(images, binarize, split),
    f"{pathlib.Path(path).name or kind}, {split}",
    {
      "fingerprint": image_set.fingerprint,
      "split": split,
      "binarize": binarize,
    },
  )
  return dataclasses.replace(source, image_set=image_set)


def parse(text: str, *, data_dir: str | None = None) -> ImageSource:
  """Reads a set as named on the command line.

  Args:
    text: a folder of images (`PATH?size=32` scales and crops them), an npz or
      npy file of images or videos, or a data set as `data.load` names it, with
      `:train` (the default) or `:test` behind it.
    data_dir: where TFDS sets are.

  Raises:
    UserError: there is no such set, or it holds something else.
  """
  path = pathlib.Path(os.path.expanduser(text))
  is_array = path.suffix in (".npz", ".npy") and not os.path.isdir(path)
  if path.is_file() or is_array:
    return _of_file(path)
  name, colon, split = text.rpartition(":")
  if colon and split in SPLITS and not os.path.isdir(path):
    return of_split(data.load(name, data_dir=data_dir), split)
  if text in data.SETS or text.startswith(("folder:", "videos:")):
    return of_split(data.load(text, data_dir=data_dir), "train")
  if os.path.isdir(_folder_of(text)):
    return _of_folder(text)
  names = ", ".join(sorted(data.SETS | data.CLIP_SETS))
  raise errors.UserError(
    f"{text!r} is no folder, npz or npy file that exists, and no data set; "
    f"the data sets are {names}, with :train or :test."
  )


def _folder_of(text: str) -> str:
  return os.path.expanduser(text.rpartition("?size=")[0] or text)


def _of_folder(argument: str) -> ImageSource:
  """Every image below a folder, sorted by its relative path."""
  root, side = folder.parse(argument)
  files = image_files.find(root)
  if not files:
    raise errors.UserError(
      f"There are no images in {root}; it needs files with the endings "
      f"{', '.join(image_files.SUFFIXES)}."
    )
  shape = image_files.common_shape(root, files, side)
  length = block_length(shape)

  def blocks():
    for start in range(0, len(files), length):
      batch = files[start : start + length]
      images = np.empty((len(batch), *shape), np.uint8)
      with image_files.naming_all(root, files, side):
        for place, file in enumerate(batch):
          with decoding.opened(file, str(file)) as image:
            images[place] = decoding.to_array(image, shape[-1], side)
      yield images

  identity = {
    "files": image_files.stamps(root, files, side),
    "side": side,
    "decoding": folder.DECODING,
  }
  return ImageSource(root.resolve().name, identity, len(files), shape, blocks)


def _of_file(path: pathlib.Path) -> ImageSource:
  try:
    if path.suffix == ".npy":
      return _of_npy(path)
    return _of_npz(path)
  except errors.UserError:
    raise
  except Exception as error:  # A damaged file can raise a dozen kinds.
    raise _unreadable(path, error) from error


def _of_npy(path: pathlib.Path) -> ImageSource:
  with untrusted.opened(path) as file:
    size = path.stat().st_size
    header = npz.read_header(file, size, path.name)
    _check(path, path.name, header)
    array: np.ndarray = np.memmap(
      file,
      np.uint8,
      "r",
      file.tell(),
      header.shape,
      order="F" if header.fortran else "C",
    )
  source = of_array(array, path.name, _file_identity(path))
  return dataclasses.replace(source, blocks=_guarded(source.blocks, path))


def _of_npz(path: pathlib.Path) -> ImageSource:
  """A source whose blocks are decompressed as they are asked for."""
  with npz.opened(path) as archive:
    info = _member(archive, path)
    npz.check_entry(path, info)
    name = info.filename.removesuffix(".npy")
    with archive.open(info) as file:
      header = _header(file, info)
    _check(path, name, header)
  shape = header.shape

  def blocks():
    size, length = math.prod(shape[1:]), block_length(shape[1:])
    with npz.opened(path) as archive, archive.open(info) as file:
      _header(file, info)
      for start in range(0, shape[0], length):
        num = min(length, shape[0] - start)
        content = file.read(num * size)
        yield np.frombuffer(content, np.uint8).reshape(num, *shape[1:])
      file.read(1)  # zipfile compares the checksum at the end.

  identity = {"array": name, **_file_identity(path)}
  return ImageSource(
    path.name, identity, shape[0], shape[1:], _guarded(blocks, path)
  )


def _member(archive: zipfile.ZipFile, path: pathlib.Path) -> zipfile.ZipInfo:
  """The array of images or videos in an npz file."""
  infos = {i.filename.removesuffix(".npy"): i for i in archive.infolist()}
  for name in NAMES:
    if name in infos:
      return infos[name]
  if len(infos) == 1:
    return next(iter(infos.values()))
  names = ", ".join(repr(name[:80]) for name in list(infos)[:8])
  raise errors.UserError(
    f"{path} holds {names or 'nothing'}; name the array that is meant "
    f"{NAMES[0]!r}."
  )


def _header(file: Any, info: zipfile.ZipInfo) -> npz.Header:
  """The header of an array in C order; the file is then at its data."""
  header = npz.read_header(file, info.file_size, info.filename)
  if header.fortran and len(header.shape) > 1:
    raise ValueError(f"{info.filename[:80]!r} is stored in Fortran order")
  return header


def _check(path: pathlib.Path, name: str, header: npz.Header) -> None:
  name, shape = name[:80], header.shape
  if header.dtype != np.uint8:
    raise errors.UserError(
      f"{name!r} in {path} holds {str(header.dtype)[:80]} numbers; images are "
      "scored as uint8 0..255, so round and clip them yourself, in the range "
      "that they have."
    )
  if len(shape) not in (4, 5) or shape[-1] not in (1, 3):
    raise errors.UserError(
      f"{name!r} in {path} has the shape {shape}; images are (N, H, W, C) and "
      "videos (N, T, H, W, C), with 1 or 3 channels."
    )
  if min(shape) < 1 or math.prod(shape[1:]) > MAX_BYTES:
    raise errors.UserError(
      f"{name!r} in {path} has the shape {shape}; every size must be at least "
      f"1, and one image or video at most {MAX_BYTES >> 20} MiB."
    )
  if shape[0] > MAX_NUM:
    raise errors.UserError(
      f"{name!r} in {path} holds {shape[0]:,} images, and at most {MAX_NUM:,} "
      "are scored at once; give fewer."
    )


def _guarded(
  blocks: Callable[[], Iterator[np.ndarray]], path: pathlib.Path
) -> Callable[[], Iterator[np.ndarray]]:
  """Wraps `blocks` so that every error on the way becomes a `UserError`."""

  def guarded():
    try:
      yield from blocks()
    except Exception as error:
      raise _unreadable(path, error) from error

  return guarded


def _unreadable(path: pathlib.Path, error: Exception) -> errors.UserError:
  return errors.UserError(
    f"{path} cannot be read as an npz or npy file of images: "
    f"{untrusted.reason(error)}."
  )


def _file_identity(path: pathlib.Path) -> dict[str, str]:
  return {"sha256": untrusted.sha256(path)}


def _masked(
  blocks: Iterator[np.ndarray], mask: np.ndarray, length: int
) -> Iterator[np.ndarray]:
  """The items where the mask is True, `length` at a time."""
  kept, start = [], 0
  for block in blocks:
    kept.append(block[mask[start : start + len(block)]])
    start += len(block)
    if sum(map(len, kept)) >= length:
      whole = np.concatenate(kept)
      yield whole[:length]
      kept = [whole[length:]]
  rest = np.concatenate(kept)
  if len(rest):
    yield rest
