"""Videos as streams of frames: video files, gifs, and folders of images.

FFmpeg decodes the video files. It comes with PyAV (the extra `video`), which is
imported at the first of them. It expects the container of the file's ending,
and gets an open file instead of a name, so that no playlist or link in a file
leads it to other files. Pillow reads gifs and images; unlike FFmpeg it notices
damage to gifs.
"""

import contextlib
import itertools
import pathlib
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pseudovideo import errors
from pseudovideo.data import decoding, folder, plain
from pseudovideo.files import untrusted

if TYPE_CHECKING:
  from PIL import Image

# Endings of what FFmpeg decodes, and its names of the containers.
CONTAINERS = {
  ".mp4": "mp4",
  ".m4v": "mp4",
  ".mov": "mov",
  ".avi": "avi",
  ".mkv": "matroska",
  ".webm": "matroska",
}
GIF = ".gif"
SUFFIXES = (*CONTAINERS, GIF)


def find(root: pathlib.Path) -> dict[str, list[pathlib.Path]]:
  """Finds the videos below a folder, without hidden ones.

  A video is a file with one of the endings `SUFFIXES`, or a folder that holds
  images itself, `root` included, in the order of the numbers in their names:
  frame 2 comes before frame 10.

  Args:
    root: a folder.

  Returns:
    The files of each video, by its path relative to `root`, sorted by it.
  """
  found = {}
  for path in root.rglob("*"):
    name = path.relative_to(root)
    hidden = any(part.startswith(".") for part in name.parts)
    if path.suffix.lower() in SUFFIXES and path.is_file() and not hidden:
      found[name.as_posix()] = [path]
  for path in folder.list_images(root):
    found.setdefault(path.parent.relative_to(root).as_posix(), []).append(path)
  return {name: sorted(found[name], key=_by_number) for name in sorted(found)}


def size(files: list[pathlib.Path]) -> tuple[int, int]:
  """(width, height) of a video as its first file's header says.

  Raises:
    UserError: the video cannot be read, or its frames are too large.
  """
  if files[0].suffix.lower() in CONTAINERS:
    with _opened(files[0]) as (_, stream):
      return stream.codec_context.width, stream.codec_context.height
  formats = ("GIF",) if files[0].suffix.lower() == GIF else decoding.FORMATS
  with decoding.opened(files[0], str(files[0]), formats) as image:
    return image.size


def frames(
  files: list[pathlib.Path],
  interval: int,
  background: plain.Colour = plain.WHITE,
) -> Iterator["Image.Image"]:
  """Frames 0, interval, 2 interval and so on, one in memory at a time.

  Frames of a file are counted as they are stored, whatever their durations.
  They are rotated as the file asks for, and pixels are taken to be square.

  Args:
    files: files of one video, as `find` returns them.
    interval: >= 1.
    background: what transparent pixels show.

  Yields:
    Pillow images of mode RGB, all of one size.

  Raises:
    UserError: a frame cannot be decoded, is too large, or of another size.
  """
  first = None
  for where, image in _read(files, interval, background):
    first = first or image.size
    if image.size != first:
      raise errors.UserError(
        f"{where} is {image.width}x{image.height} and the frames before it are "
        f"{first[0]}x{first[1]}; give the frames of a video one size."
      )
    yield image


def _read(
  files: list[pathlib.Path], interval: int, background: plain.Colour
) -> Iterator[tuple[str, "Image.Image"]]:
  """Yields the name of each frame in errors, and the frame."""
  suffix = files[0].suffix.lower()
  if suffix in CONTAINERS:
    yield from _of_file(files[0], interval)
  elif suffix == GIF:
    yield from _of_gif(files[0], interval, background)
  else:
    for path in files[::interval]:
      with decoding.opened(path, str(path)) as image:
        yield str(path), plain.opaque(image, background)


def _of_file(
  path: pathlib.Path, interval: int
) -> Iterator[tuple[str, "Image.Image"]]:
  with _opened(path) as (container, stream):
    number = None
    for number, frame in enumerate(container.decode(stream)):
      if number % interval == 0:
        # Degrees, counter-clockwise; rounded to quarter turns.
        turns = round(frame.rotation / 90)
        image = frame.to_image().rotate(90 * turns, expand=True)
        yield f"{path}, frame {number},", image
    if number is None:
      raise ValueError("none of its frames can be decoded")


def _of_gif(
  path: pathlib.Path, interval: int, background: plain.Colour
) -> Iterator[tuple[str, "Image.Image"]]:
  with decoding.opened(path, str(path), ("GIF",)) as image:
    for number in itertools.count(0, interval):
      try:
        image.seek(number)
      except EOFError:
        return
      decoding.check(image, str(path))  # A later frame may be larger.
      yield f"{path}, frame {number},", plain.opaque(image, background)


@contextlib.contextmanager
def _opened(path: pathlib.Path) -> Iterator[tuple[Any, Any]]:
  """A container and its video stream, of which nothing is decoded yet.

  Raises:
    UserError: PyAV is missing, no video, a broken one or one with too many
      pixels; also when the `with` block fails to decode it.
  """
  try:
    import av
  except ImportError as error:
    raise errors.UserError(
      f"Reading {path} needs PyAV, which is not installed; run: make install "
      "EXTRA=video"
    ) from error
  try:
    with (
      untrusted.opened(path) as file,
      av.open(file, format=CONTAINERS[path.suffix.lower()]) as container,
    ):
      stream: Any = container.streams.best("video")
      if stream is None:
        raise ValueError("it has no pictures")
      codec = stream.codec_context
      if not 0 < codec.width * codec.height <= decoding.MAX_PIXELS:
        raise ValueError(
          f"its frames are {codec.width}x{codec.height}, and more than "
          f"{decoding.MAX_PIXELS:,} pixels are not read"
        )
      # Frames may be larger than the header says.
      codec.options = {"max_pixels": str(decoding.MAX_PIXELS)}
      stream.thread_type = "AUTO"
      yield container, stream
  except errors.UserError:
    raise
  except Exception as error:  # FFmpeg's errors have many types.
    raise errors.UserError(
      f"{path} cannot be read as a video ({type(error).__name__}: "
      f"{untrusted.reason(error)}); replace or remove it."
    ) from error


def _by_number(path: pathlib.Path) -> list:
  """Orders names by the numbers in them, equal ones by the names."""
  parts = re.split("([0-9]+)", path.name)
  return [[int(part) if i % 2 else part for i, part in enumerate(parts)], path]
