"""A folder of videos as clips of one length and size.

Every video is cut into clips, one after another, of T frames at a distance of
`interval` frames of the video. A clip spans 1 + (T - 1) interval frames, and
the next clip starts T interval frames later. Frames left at the end of a video
are dropped. Frames are resized by their shorter side and cropped around the
centre, see `decoding.square`.
"""

import contextlib
import dataclasses
import itertools
import pathlib
import tempfile
from collections.abc import Iterator
from typing import IO

import numpy as np
from absl import logging

from pseudovideo import errors
from pseudovideo.data import cache, copies, decoding, plain, stamping, videos
from pseudovideo.data.faults import Faults, file_error, shown
from pseudovideo.files import atomic

NAMED = 5  # files that a message names
ENDINGS = ", ".join(videos.SUFFIXES)
NEEDS = f"files with the endings {ENDINGS}, or of folders of images"
# Raise it when other frames come of the same files.
DECODING = 2


@dataclasses.dataclass(frozen=True, eq=False)
class ClipSet:
  """Clips, memory-mapped.

  Attributes:
    clips: (N, T, S, S, 3) uint8, read-only, in the order of `names` and of
      time.
    video: (N,) int32, ascending: the place in `names` of each clip's video.
    names: paths of all videos, relative to the folder; videos that are too
      short have no clip.
    fingerprint: SHA-256 (hexadecimal) of the arrays.
  """

  clips: np.ndarray
  video: np.ndarray
  names: tuple[str, ...]
  fingerprint: str


@dataclasses.dataclass(frozen=True)
class Cut:
  """The cutting of videos into clips.

  Attributes:
    frames: T >= 1.
    side: S >= 1, the side of the frames in pixels; nothing is enlarged.
    interval: >= 1; 3 takes frames 0, 3, 6 and so on.
    per_video: the number of clips of each video, its first ones, at most; None
      for all of them.
  """

  frames: int
  side: int
  interval: int = 1
  per_video: int | None = None

  def __post_init__(self):
    for name, value in dataclasses.asdict(self).items():
      if value is not None and value < 1:
        raise errors.UserError(
          f"Clips cannot have {name}={value}; give a number of 1 or more."
        )

  @property
  def span(self) -> int:
    """Frames of a video that one clip needs."""
    return 1 + (self.frames - 1) * self.interval

  def used(self, files: list[pathlib.Path]) -> list[pathlib.Path]:
    """The files of a folder of frames that are in its clips, in order."""
    files = files[:: self.interval]
    count = len(files) // self.frames
    if self.per_video is not None:
      count = min(count, self.per_video)
    return files[: count * self.frames]


def load(
  root: pathlib.Path,
  cut: Cut,
  found: dict[str, list[pathlib.Path]] | None = None,
  background: plain.Colour = plain.WHITE,
) -> ClipSet:
  """Loads the clips of the videos below a folder; a second call reads a cache.

  Videos with too few frames are left out, with a warning that counts them.

  Args:
    root: a folder of video files, or of folders of images, see `videos.find`.
    cut: the cutting of videos into clips.
    found: the videos in their order, from `videos.find`; None for all of them,
      sorted.
    background: what transparent pixels show.

  Raises:
    UserError: no videos, none that is long enough, smaller frames than `side`,
      a video that cannot be decoded, or PyAV is missing.
  """
  if found is None:
    found = videos.find(root) if root.is_dir() else {}
  if not found:
    raise errors.UserError(
      f"There are no videos in {shown(root)}; give a folder of {NEEDS}."
    )
  made_from = {
    "cut": dataclasses.asdict(cut),
    "files": _stamps(root, found, cut),
    "decoding": DECODING,
  }
  if background != plain.WHITE:
    made_from["background"] = background
  arrays, fingerprint = cache.load(
    "clips",
    made_from,
    lambda new_array: _build(root, found, cut, background, new_array),
    about=copies.about(root, made_from),
  )
  names = tuple(found)
  short = sorted(set(range(len(names))) - set(arrays["video"].tolist()))
  if short:
    logging.warning(
      "%d of the %d videos in %s have fewer than %d frames and are left out: "
      "%s.",
      len(short),
      len(names),
      root,
      cut.span,
      _listed([names[i] for i in short]),
    )
  return ClipSet(arrays["clips"], arrays["video"], names, fingerprint)


def _build(
  root: pathlib.Path,
  found: dict[str, list[pathlib.Path]],
  cut: Cut,
  background: plain.Colour,
  new_array: cache.NewArray,
) -> None:
  """Writes clips through a nameless file, as their number is unknown."""
  import tqdm

  _check(root, found, cut)
  shape = (cut.frames, cut.side, cut.side, 3)
  origins = []
  faulty = Faults(root, [path for files in found.values() for path in files])
  with _spool() as spool:
    bar = tqdm.tqdm(found.values(), "decoding", unit="video", disable=None)
    for number, files in enumerate(bar):
      try:
        for clip in _clips(files, cut, background):
          spool.write(clip.data)
          origins.append(number)
      except errors.UserError as error:
        _note(faulty, files, cut, error)
    faulty.refuse("files")
    if not origins:
      raise errors.UserError(
        f"None of the {len(found)} videos in {shown(root)} has the {cut.span} "
        f"frames that {cut.frames} frames at an interval of {cut.interval} "
        "span; ask for fewer frames or a smaller interval, or give longer "
        "videos."
      )
    clips = new_array("clips", (len(origins), *shape))
    spool.seek(0)
    for clip in clips:
      clip[:] = np.frombuffer(spool.read(clip.nbytes), np.uint8).reshape(shape)
  new_array("video", (len(origins),), np.int32)[:] = origins


def _note(
  faulty: Faults,
  files: list[pathlib.Path],
  cut: Cut,
  error: errors.UserError,
) -> None:
  """Notes the fault of a film, or of every broken file of a folder."""
  start = faulty.files.index(files[0])
  used = {files[0]} if videos.is_film(files[0]) else set(cut.used(files))

  def decode(place: int) -> None:
    with decoding.opened(
      faulty.files[place], str(faulty.files[place])
    ) as image:
      decoding.to_array(image, 3, None)

  if not videos.is_film(files[0]):
    for place in range(start, start + len(files)):
      if faulty.files[place] in used:
        faulty.call(place, decode)
  if not any(place in faulty for place in range(start, start + len(files))):
    faulty.add(start, error)


def _stamps(
  root: pathlib.Path, found: dict[str, list[pathlib.Path]], cut: Cut
) -> list[list]:
  """Facts that identify the files; an error names all that are broken."""
  try:
    return stamping.stamps(root, [p for files in found.values() for p in files])
  except errors.UserError:
    _check(root, found, cut)
    raise


def _check(
  root: pathlib.Path, found: dict[str, list[pathlib.Path]], cut: Cut
) -> None:
  """Looks at all headers first: decoding may take hours.

  Raises:
    UserError: names all files that are broken, too small, or of another size
      than the first of their folder.
  """
  films = [files[0] for files in found.values() if videos.is_film(files[0])]
  for film in films:
    videos.check_library(film)
  folders = [cut.used(files) for files in found.values()
             if not videos.is_film(files[0])]  # fmt: skip
  # The first file of a folder without a single clip tells its size too.
  files = [*films, *(path for used in folders for path in used)]
  faulty = Faults(root, files)
  sizes: list[tuple[int, int] | None] = [None] * len(files)

  def look(place: int) -> None:
    sizes[place] = found_size = videos.size(files[place])
    if min(found_size) < cut.side:
      raise file_error(
        str(files[place]),
        f"is {found_size[0]}x{found_size[1]}, smaller than the asked side "
        f"{cut.side}",
        "ask for a smaller one or remove it",
      )

  def work(start: int, stop: int) -> None:
    for place in range(start, stop):
      faulty.call(place, look)

  decoding.in_blocks(
    work,
    len(files),
    "looking at videos",
    unit="file",
    block=16,
    threads=decoding.READERS,
  )
  start = len(films)
  for used in folders:
    for place in range(start, start + len(used)):
      _compare(faulty, place, sizes[place], sizes[start])
    start += len(used)
  faulty.refuse("files")


def _compare(
  faulty: Faults,
  place: int,
  size: tuple[int, int] | None,
  first: tuple[int, int] | None,
) -> None:
  if size and first and size != first:
    why = f"is {size[0]}x{size[1]} and the first frame {first[0]}x{first[1]}"
    advice = "give the frames of a video one size"
    faulty.add(place, file_error(str(faulty.files[place]), why, advice))


def _clips(
  files: list[pathlib.Path], cut: Cut, background: plain.Colour
) -> Iterator[np.ndarray]:
  """Yields clips (T, S, S, 3) uint8; only one is in memory."""
  interval = cut.interval
  if not videos.is_film(files[0]):
    files, interval = cut.used(files), 1
  frames = (
    decoding.to_array(image, 3, cut.side)
    for image in videos.frames(files, interval, background)
  )
  for _ in itertools.count() if cut.per_video is None else range(cut.per_video):
    clip = list(itertools.islice(frames, cut.frames))
    if len(clip) < cut.frames:
      return
    yield np.stack(clip)


@contextlib.contextmanager
def _spool() -> Iterator[IO[bytes]]:
  """A nameless file on the disk of the cache, or in memory if that refuses."""
  place = atomic.cache_dir("data")
  try:
    with _nameless(place) as file:
      yield file
  except OSError as error:
    raise cache.UnusableError(place, error) from error


def _nameless(place: pathlib.Path) -> IO[bytes]:
  try:
    return tempfile.TemporaryFile(dir=place)
  except OSError:
    # Beyond the limit it goes to the disk, which is then an error.
    return tempfile.SpooledTemporaryFile(cache.MEMORY_LIMIT, dir=str(place))


def _listed(names: list[str]) -> str:
  more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
  return ", ".join(names[:NAMED]) + more
