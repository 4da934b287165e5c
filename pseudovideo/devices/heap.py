"""Memory that the C library keeps for the next program.

On CPUs, XLA allocates the temporary arrays of a program for each call. glibc
returns blocks of megabytes to the system when they are freed, which must clear
every page that is taken again, update after update. With the settings here,
memory that was used once stays with the process.
"""

import ctypes
import os
import platform

# Parameters of mallopt(3), and values: the threads share one heap, since only
# the first of glibc's heaps can hold large blocks.
_ARENA_MAX, _TRIM_THRESHOLD, _MMAP_THRESHOLD = -8, -1, -3
_SETTINGS = {
  _ARENA_MAX: 1,
  _TRIM_THRESHOLD: 2**31 - 1,
  _MMAP_THRESHOLD: 2**31 - 1,
}


def keep_freed_memory() -> bool:
  """Makes glibc keep freed memory; must come before anything is computed.

  Settings of the user's own, in GLIBC_TUNABLES or MALLOC_*, stay. Blocks of
  2 GiB and more are still returned.

  Returns:
    Whether it is so; False with other C libraries.
  """
  own = any(name.startswith("MALLOC_") for name in os.environ)
  if own or "GLIBC_TUNABLES" in os.environ:
    return False
  if platform.libc_ver()[0] != "glibc":
    return False
  mallopt = ctypes.CDLL(None).mallopt
  return all([mallopt(name, value) for name, value in _SETTINGS.items()])
