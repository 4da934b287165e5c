"""A folder of videos as clips of one length and size.

Every video is cut into clips, one after another, of T frames at a distance of
`interval` frames of the video. A clip spans 1 + (T - 1) interval frames, and
the next clip starts T interval frames later. Frames left at the end of a video
are dropped. Frames are resized by their shorter side and cropped around the
centre, see `decoding.square`.
"""

import contextlib
import dataclasses
import io
import itertools
import pathlib
import tempfile
from collections.abc import Iterator, Sequence

import numpy as np
from absl import logging

from pseudovideo import errors
from pseudovideo.data import cache, decoding, plain, videos
from pseudovideo.files import atomic

NAMED = 5  # files that a message names


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


def load(
  root: pathlib.Path,
  cut: Cut,
  names: Sequence[str] | None = None,
  background: plain.Colour = plain.WHITE,
) -> ClipSet:
  """Loads the clips of the videos below a folder; a second call reads a cache.

  Videos with too few frames are left out, with a warning that counts them.

  Args:
    root: a folder of video files, or of folders of images, see `videos.find`.
    cut: the cutting of videos into clips.
    names: names of the videos in their order, from `videos.find`; None for all
      of them, sorted.
    background: what transparent pixels show.

  Raises:
    UserError: no videos, none that is long enough, smaller frames than `side`,
      a video that cannot be decoded, or PyAV is missing.
  """
  found = videos.find(root) if root.is_dir() else {}
  if not found:
    raise errors.UserError(
      f"There are no videos in {root}; give a folder of files with the endings "
      f"{', '.join(videos.SUFFIXES)}, or of folders of images."
    )
  if names is not None:
    found = {name: found[name] for name in names}
  files = [path for video in found.values() for path in video]
  made_from = {
    "cut": dataclasses.asdict(cut),
    "files": cache.stamps(root, files),
  }
  if background != plain.WHITE:
    made_from["background"] = background
  arrays, fingerprint = cache.load(
    "clips",
    made_from,
    lambda new_array: _build(root, found, cut, background, new_array),
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

  _check(root, found, cut.side)
  shape = (cut.frames, cut.side, cut.side, 3)
  origins = []
  with _spool() as spool:
    bar = tqdm.tqdm(found.values(), "decoding", unit="video", disable=None)
    for number, files in enumerate(bar):
      cut_out = _clips(files, cut, background)
      for clip in itertools.islice(cut_out, cut.per_video):
        spool.write(clip.data)
        origins.append(number)
    if not origins:
      raise errors.UserError(
        f"None of the {len(found)} videos in {root} has the {cut.span} frames "
        f"that {cut.frames} frames at an interval of {cut.interval} span; ask "
        "for fewer frames or a smaller interval, or give longer videos."
      )
    clips = new_array("clips", (len(origins), *shape))
    spool.seek(0)
    for clip in clips:
      spool.readinto(clip.data)
  new_array("video", (len(origins),), np.int32)[:] = origins


def _check(
  root: pathlib.Path, found: dict[str, list[pathlib.Path]], side: int
) -> None:
  """Looks at all headers first: decoding may take hours."""
  refused = {}
  for name, files in found.items():
    try:
      width, height = videos.size(files)
    except errors.UserError as error:
      refused[name] = str(error)
    else:
      if min(width, height) < side:
        refused[name] = (
          f"{root / name} is {width}x{height}, smaller than the asked side "
          f"{side}; ask for a smaller one or remove it."
        )
  if refused:
    first = next(iter(refused.values()))
    raise errors.UserError(
      first
      if len(refused) == 1
      else f"{len(refused)} of the {len(found)} videos in {root} cannot be "
      f"used, {_listed(list(refused))}; of the first: {first}"
    )


def _clips(
  files: list[pathlib.Path], cut: Cut, background: plain.Colour
) -> Iterator[np.ndarray]:
  """Yields clips (T, S, S, 3) uint8; only one is in memory."""
  frames = (
    decoding.to_array(image, 3, cut.side)
    for image in videos.frames(files, cut.interval, background)
  )
  while len(clip := list(itertools.islice(frames, cut.frames))) == cut.frames:
    yield np.stack(clip)


@contextlib.contextmanager
def _spool() -> Iterator[io.BufferedRandom]:
  """A file that is gone when it is closed, on the disk of the cache."""
  place = atomic.cache_dir("data")
  try:
    with tempfile.TemporaryFile(dir=place) as file:
      yield file
  except OSError as error:
    raise errors.UserError(
      f"Clips cannot be written to {place} ({error.strerror}); make room there "
      "or set XDG_CACHE_HOME to a folder with room."
    ) from error


def _listed(names: list[str]) -> str:
  more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
  return ", ".join(names[:NAMED]) + more
