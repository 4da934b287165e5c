"""Where files are kept between runs."""

import os
import pathlib


def cache_dir(*parts: str) -> pathlib.Path:
  """`$XDG_CACHE_HOME/pseudovideo/...` (default ~/.cache); not created."""
  base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
  return pathlib.Path(base, "pseudovideo", *parts)
