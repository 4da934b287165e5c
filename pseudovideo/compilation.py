"""XLA's persistent compilation cache."""

import pathlib

import jax

from pseudovideo import folders


def enable_cache(directory: pathlib.Path | None = None) -> pathlib.Path:
  """Keeps compiled programs on disk, so that a second run starts at once.

  Args:
    directory: where; by default below `folders.cache_dir()`.

  Returns:
    The directory.
  """
  directory = directory or folders.cache_dir("jax")
  directory.mkdir(parents=True, exist_ok=True)
  jax.config.update("jax_compilation_cache_dir", str(directory))
  jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)
  jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
  return directory
