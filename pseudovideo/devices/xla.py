"""XLA's settings: programs kept on disk, and the same bits every time.

Everything random is drawn from keys, and batches are a function of the seed, so
on CPU the same command on the same machine gives the same bits anyway. A GPU
adds some sums in any order, and XLA chooses among kernels by timing them; both
can be forbidden, at a price in speed.
"""

import os
import pathlib

import jax

from pseudovideo.devices import programs
from pseudovideo.files import atomic, unkept

DETERMINISTIC = "--xla_gpu_deterministic_ops=true"
SETTINGS = {
  "jax_persistent_cache_min_compile_time_secs": 0.3,
  "jax_persistent_cache_min_entry_size_bytes": -1,
  # XLA's caches of parts of programs, which have no checksums.
  "jax_persistent_cache_enable_xla_caches": "none",
}


def make_deterministic() -> None:
  """Makes every program of this process the same function of its inputs.

  Must come before anything is computed, since XLA reads its flags once.
  """
  os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {DETERMINISTIC}"


def enable_cache(directory: pathlib.Path | None = None) -> pathlib.Path | None:
  """Keeps compiled programs on disk, so that a second run starts at once.

  Settings that JAX's own variables give (JAX_COMPILATION_CACHE_DIR and so on)
  stay. A folder that cannot be written is a warning, see `programs`.

  Args:
    directory: folder of the programs; by default $JAX_COMPILATION_CACHE_DIR,
      else one below `atomic.cache_dir()`.

  Returns:
    The folder; None if there is none.
  """
  given = os.environ.get(programs.VARIABLE) if directory is None else None
  if given == "":
    return None
  folder = pathlib.Path(given or directory or atomic.cache_dir("programs"))
  if not programs.use(str(folder), sealed=given is None):
    try:
      folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
      unkept.warn("Compiled programs", folder, error)
      return None
  jax.config.update("jax_compilation_cache_dir", str(given or folder))
  for name, value in SETTINGS.items():
    if name.upper() not in os.environ:
      jax.config.update(name, value)
  return folder
