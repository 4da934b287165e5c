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

import numpy as np

from pseudovideo import errors
from pseudovideo.data import (
  covers,
  decoding,
  faults,
  image_files,
  plain,
  walking,
)
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
# FFmpeg's decoders -> those that decode transparency too.
LIBVPX = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
# EXIF orientations as (a, b, c, d) of a display matrix, which shows the pixel
# (x, y) at (a x + c y, b x + d y).
MATRICES = {
  1: (1, 0, 0, 1),
  2: (-1, 0, 0, 1),
  3: (-1, 0, 0, -1),
  4: (1, 0, 0, -1),
  5: (0, 1, 1, 0),
  6: (0, 1, -1, 0),
  7: (0, -1, -1, 0),
  8: (0, -1, 1, 0),
}


def find(root: pathlib.Path) -> dict[str, list[pathlib.Path]]:
  """Finds the videos below a folder, without hidden ones; links are followed.

  A video is a file with one of the endings `SUFFIXES`, or a folder that holds
  images itself, `root` included, in the order of the numbers in their names:
  frame 2 comes before frame 10. Thumbnails and covers are no frames, see
  `covers.without`. One logged line counts the files that are not taken.

  Args:
    root: a folder.

  Returns:
    The files of each video, by its path relative to `root`, sorted by it.
  """
  walk = walking.walk(root)
  films = [name for name in walk.files if name.lower().endswith(SUFFIXES)]
  images = [
    name
    for name in walk.files
    if image_files.is_image(name) and name not in set(films)
  ]
  films, images = covers.without(films, images)
  walking.say_not_taken(root, walk, [*films, *images])
  found = {name: [walk.files[name]] for name in films}
  for name in images:
    parent = pathlib.PurePosixPath(name).parent.as_posix()
    found.setdefault(parent, []).append(walk.files[name])
  return {name: sorted(found[name], key=_by_number) for name in sorted(found)}


def is_film(path: pathlib.Path) -> bool:
  """True for a file of many frames, False for one of a folder of images."""
  return path.suffix.lower() in SUFFIXES


def check_library(path: pathlib.Path) -> None:
  """Refuses a film if PyAV, which reads it, is not installed.

  Raises:
    UserError: says how to install it.
  """
  if path.suffix.lower() not in CONTAINERS:
    return
  try:
    import av  # noqa: F401
  except ImportError as error:
    raise errors.UserError(
      f"Reading {faults.shown(path)} needs PyAV, which is not installed; run: "
      "make install EXTRA=video"
    ) from error


def size(path: pathlib.Path) -> tuple[int, int]:
  """(width, height) of a film, or of an image, as its header says.

  Raises:
    UserError: it cannot be read, or its frames are too large.
  """
  if path.suffix.lower() in CONTAINERS:
    with _opened(path) as (_, stream):
      return stream.codec_context.width, stream.codec_context.height
  with decoding.opened(path, str(path), header_only=True) as image:
    return plain.size(image)


def frames(
  files: list[pathlib.Path],
  interval: int,
  background: plain.Colour = plain.WHITE,
) -> Iterator["Image.Image"]:
  """Frames 0, interval, 2 interval and so on, one in memory at a time.

  Frames of a file are counted as they are stored, whatever their durations.
  They are turned and mirrored as the file asks for, composited on the
  background where transparent, and pixels are taken to be square.

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
      raise faults.file_error(
        where,
        f"is {image.width}x{image.height} and the frames before it are "
        f"{first[0]}x{first[1]}",
        "give the frames of a video one size",
      )
    yield image


def _read(
  files: list[pathlib.Path], interval: int, background: plain.Colour
) -> Iterator[tuple[str, "Image.Image"]]:
  """Yields the name of each frame in errors, and the frame."""
  suffix = files[0].suffix.lower() if files else ""
  if suffix in CONTAINERS:
    yield from _of_file(files[0], interval, background)
  elif suffix == GIF:
    yield from _of_gif(files[0], interval, background)
  else:
    for path in files[::interval]:
      with decoding.opened(path, str(path)) as image:
        yield str(path), plain.to_plain(image, 3, background)


def _of_file(
  path: pathlib.Path, interval: int, background: plain.Colour
) -> Iterator[tuple[str, "Image.Image"]]:
  from PIL import Image

  with _opened(path) as (container, stream):
    number, orientation = None, 1
    for number, frame in enumerate(_decoded(container, stream)):
      if number == 0:
        orientation = _orientation(frame)
      if number % interval == 0:
        image = _image(frame, background)
        if method := plain.METHODS.get(orientation):
          image = image.transpose(Image.Transpose[method])
        yield f"{path}, frame {number},", image
    if number is None:
      raise ValueError("none of its frames can be decoded")


def _decoded(container: Any, stream: Any) -> Iterator[Any]:
  """Yields the frames of a film, with their transparency.

  FFmpeg's own decoders of VP8 and VP9 leave it out; those of libvpx do not.
  """
  import av

  codec = LIBVPX.get(stream.codec_context.name)
  if codec is None or stream.metadata.get("alpha_mode") != "1":
    yield from container.decode(stream)
    return
  decoder: Any = av.CodecContext.create(codec, "r")
  decoder.extradata = stream.codec_context.extradata
  decoder.options = {"max_pixels": str(decoding.MAX_PIXELS)}
  for packet in container.demux(stream):
    yield from decoder.decode(packet)


def _image(frame: Any, background: plain.Colour) -> "Image.Image":
  """A decoded frame as an opaque image of mode RGB."""
  from PIL import Image

  if any(part.is_alpha for part in frame.format.components):
    image = Image.fromarray(frame.to_ndarray(format="rgba"))
    return plain.to_plain(image, 3, background)
  return frame.to_image()


def _orientation(frame: Any) -> int:
  """The EXIF orientation that is nearest to a frame's display matrix."""
  # PyAV makes a cycle of a frame and its side data, which would keep the
  # decoder in memory: asked of a copy, it keeps that alone.
  for data in frame.reformat(width=2, height=2).side_data:
    if data.type.name == "DISPLAYMATRIX":
      matrix = np.frombuffer(bytes(data), np.int32)[[0, 1, 3, 4]].astype(float)
      return max(MATRICES, key=lambda number: matrix @ MATRICES[number])
  return 1


def _of_gif(
  path: pathlib.Path, interval: int, background: plain.Colour
) -> Iterator[tuple[str, "Image.Image"]]:
  with decoding.opened(path, str(path)) as image:
    for number in itertools.count(0, interval):
      try:
        image.seek(number)
      except EOFError:
        return
      decoding.check(image, str(path))  # A later frame may be larger.
      yield f"{path}, frame {number},", plain.to_plain(image, 3, background)


@contextlib.contextmanager
def _opened(path: pathlib.Path) -> Iterator[tuple[Any, Any]]:
  """A container and its video stream, of which nothing is decoded yet.

  Raises:
    UserError: PyAV is missing, no video, a broken one or one with too many
      pixels; also when the `with` block fails to decode it.
  """
  check_library(path)
  import av

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
    raise faults.file_error(
      str(path),
      f"cannot be read as a video ({type(error).__name__}: "
      f"{untrusted.reason(error)})",
      "replace or remove it",
    ) from error


def _by_number(path: pathlib.Path) -> list:
  """Orders names by the numbers in them, equal ones by the names."""
  parts = re.split("([0-9]+)", path.name)
  return [[int(part) if i % 2 else part for i, part in enumerate(parts)], path]
