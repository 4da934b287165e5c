"""Many image files: found, checked by their headers, decoded.

Whatever is wrong with any of them is said in one error.
"""

import collections
import contextlib
import pathlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from pseudovideo import errors
from pseudovideo.data import decoding, plain, stamping, walking
from pseudovideo.data.faults import Faults, file_error, shown

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", *decoding.MORE_FORMATS)


def find(root: pathlib.Path) -> list[pathlib.Path]:
  """Finds the images below `root`, by relative path, without hidden ones.

  Links are followed. One logged line counts the files that are no images.
  """
  found = walking.walk(root)
  names = [name for name in found.files if is_image(name)]
  walking.say_not_taken(root, found, names)
  return [found.files[name] for name in names]


def size_of_one(root: pathlib.Path) -> tuple[int, int] | None:
  """(width, height) of some image below `root`; None without one to read."""
  for path in walking.files_of(root):
    if is_image(path.name):
      with (
        contextlib.suppress(errors.UserError),
        decoding.opened(path, str(path), header_only=True) as image,
      ):
        return plain.size(image)
  return None


def is_image(name: str) -> bool:
  """True if the ending of a name is one of `SUFFIXES`."""
  return name.lower().endswith(SUFFIXES)


def stamps(
  root: pathlib.Path, files: Sequence[pathlib.Path], side: int | None
) -> list[list]:
  """Facts that identify the files, see `stamping.stamps`.

  Raises:
    UserError: names all files with which something is wrong.
  """
  try:
    return stamping.stamps(root, files)
  except errors.UserError:
    common_shape(root, files, side)
    raise


def common_shape(
  root: pathlib.Path,
  files: Sequence[pathlib.Path],
  side: int | None,
  background: plain.Colour = plain.WHITE,
) -> tuple[int, int, int]:
  """(H, W, C) of all the images, from their headers; C = 1 if all are grey.

  Args:
    root: the folder of the files.
    files: at least one image.
    side: side to which they are scaled and cropped; None keeps their size.
    background: what transparent pixels show.

  Raises:
    UserError: names all images that are broken, too small for `side`, or of
      another size than most.
  """
  sizes = np.zeros((len(files), 2), int)
  grey = np.zeros(len(files), bool)
  faults = Faults(root, files)

  def look(place: int) -> None:
    path = files[place]
    with decoding.opened(path, str(path), header_only=True) as image:
      sizes[place] = plain.size(image)
      grey[place] = plain.is_grey(image, background)

  _each(look, faults, "looking at images", decoding.READERS)
  good = [i for i in range(len(files)) if i not in faults]
  if side is not None:
    wrong = {i: _too_small(files[i], sizes[i], side) for i in good
             if sizes[i].min() < side}  # fmt: skip
  else:
    wrong = _other_sizes(files, sizes, good)
  if faults or wrong:
    _refuse(faults, wrong, sizes[good], side)
  channels = 1 if grey.all() else 3
  width, height = (side, side) if side is not None else map(int, sizes[0])
  return height, width, channels


def decode(
  root: pathlib.Path,
  files: Sequence[pathlib.Path],
  row: Callable[[int], np.ndarray],
  side: int | None,
  background: plain.Colour,
) -> None:
  """Decodes files.

  Args:
    root: the folder of the files.
    files: images that `common_shape` has seen.
    row: function of a place in `files`: where its pixels go, (H, W, C) uint8.
    side: see `common_shape`.
    background: see `common_shape`.

  Raises:
    UserError: names all images that cannot be decoded.
  """
  faults = Faults(root, files)

  def read(place: int) -> None:
    target = row(place)
    with decoding.opened(files[place], str(files[place])) as image:
      target[:] = decoding.to_array(image, target.shape[-1], side, background)

  _each(read, faults, "decoding")
  faults.refuse()


@contextlib.contextmanager
def naming_all(
  root: pathlib.Path, files: Sequence[pathlib.Path], side: int | None
) -> Iterator[None]:
  """Makes an error of one file in the block an error of all that are broken."""
  try:
    yield
  except errors.UserError:
    common_shape(root, files, side)
    faults = Faults(root, files)
    _each(_decodes(files), faults, "decoding")
    faults.refuse()
    raise


def _each(function, faults: Faults, title: str, threads: int | None = None):
  """Calls a function of every place that has no fault yet, in threads."""

  def work(start: int, stop: int) -> None:
    for place in range(start, stop):
      if place not in faults:
        faults.call(place, function)

  decoding.in_blocks(work, len(faults.files), title, threads=threads)


def _decodes(files: Sequence[pathlib.Path]):
  def decode(place: int) -> None:
    with decoding.opened(files[place], str(files[place])) as image:
      decoding.to_array(image, 3, None)

  return decode


def _too_small(
  path: pathlib.Path, size: np.ndarray, side: int
) -> errors.UserError:
  return file_error(
    path,
    f"is {size[0]}x{size[1]}, smaller than the asked size {side}",
    "ask for a smaller size or remove it",
  )


def _other_sizes(
  files: Sequence[pathlib.Path], sizes: np.ndarray, good: list[int]
) -> dict[int, errors.UserError]:
  """Errors of the images that are not of the size that most have."""
  found = [tuple(map(int, sizes[i])) for i in good]
  if len(set(found)) < 2:
    return {}
  wide, high = usual = collections.Counter(found).most_common(1)[0][0]
  first = shown(files[good[found.index(usual)]].name)
  return {
    i: file_error(
      files[i],
      f"is {size[0]}x{size[1]}",
      f"all images must have one size, and {first} is {wide}x{high} as "
      f"most are: remove it, or {_scaling(sizes[good])}",
    )
    for i, size in zip(good, found, strict=True)
    if size != usual
  }


def _scaling(sizes: np.ndarray) -> str:
  smallest = min(int(sizes.min(initial=64)), 64)
  return f"scale and crop them all with `folder:PATH?size={smallest}`"


def _refuse(
  faults: Faults,
  wrong: dict[int, errors.UserError],
  sizes: np.ndarray,
  side: int | None,
) -> None:
  """Names all faults; where few are of a wrong size, also broken pixels."""
  few = faults or 2 * len(wrong) <= len(faults.files)
  for place, error in wrong.items():
    faults.add(place, error)
  if few:
    _each(_decodes(faults.files), faults, "looking for further broken images")
  advice = ""
  if wrong and side is not None:
    advice = ", or ask for a smaller size"
  elif wrong:
    advice = f"; all must have one size, so you may also {_scaling(sizes)}"
  faults.refuse(advice=advice)
