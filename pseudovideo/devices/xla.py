"""XLA's settings: programs kept on disk, and the same bits every time.

Everything random is drawn from keys, and batches are a function of the seed, so
on CPU the same command on the same machine gives the same bits anyway. A GPU
adds some sums in any order, and XLA chooses among kernels by timing them; both
can be forbidden, at a price in speed.
"""

import os
import pathlib

import jax

from pseudovideo.files import atomic

DETERMINISTIC = "--xla_gpu_deterministic_ops=true"


def make_deterministic() -> None:
  """Makes every program of this process the same function of its inputs.

  Must come before anything is computed, since XLA reads its flags once.
  """
  os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {DETERMINISTIC}"


def enable_cache(directory: pathlib.Path | None = None) -> pathlib.Path:
  """Keeps compiled programs on disk, so that a second run starts at once.

  Args:
    directory: the folder; by default one below `atomic.cache_dir()`.

  Returns:
    The directory.
  """
  directory = directory or atomic.cache_dir("jax")
  directory.mkdir(parents=True, exist_ok=True)
  jax.config.update("jax_compilation_cache_dir", str(directory))
  jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)
  jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
  return directory
