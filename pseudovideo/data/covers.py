"""Tells thumbnails and covers of videos from folders of frames."""

import pathlib
from collections.abc import Sequence

NAMES = ("cover", "poster", "preview", "thumb", "thumbnail")


def without(
  films: Sequence[str], images: Sequence[str]
) -> tuple[list[str], list[str]]:
  """Leaves out what belongs to a video instead of being one.

  No frames are the images of a folder that has films in it or below it, of a
  folder beside films that is named `thumbs`, `covers` or alike, and of a folder
  in which every image is named as a film is. A gif beside a film of the same
  name is no film.

  Args:
    films: relative POSIX paths of video files and gifs.
    images: those of other images.

  Returns:
    The films and the images that remain.
  """
  paths = {name: pathlib.PurePosixPath(name) for name in (*films, *images)}
  stems = {paths[name].stem for name in films}
  others = {
    paths[name].with_suffix("")
    for name in films
    if paths[name].suffix.lower() != ".gif"
  }
  above = {parent for name in films for parent in paths[name].parents}
  folders: dict[pathlib.PurePosixPath, set[str]] = {}
  for name in images:
    folders.setdefault(paths[name].parent, set()).add(paths[name].stem)
  frames = {
    folder
    for folder, inside in folders.items()
    if folder not in above
    and not (films and _is_named_so(folder.name))
    and not (inside <= stems and not all(map(str.isdecimal, inside)))
  }
  return [
    name
    for name in films
    if paths[name].suffix.lower() != ".gif"
    or paths[name].with_suffix("") not in others
  ], [name for name in images if paths[name].parent in frames]


def _is_named_so(name: str) -> bool:
  return name.lower().strip("_.- ").removesuffix("s") in NAMES
