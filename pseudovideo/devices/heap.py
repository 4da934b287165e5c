"""Memory that the C library keeps for the next program.

On CPUs, XLA allocates the temporary arrays of a program, in one block, for each
call. glibc returns blocks of megabytes to the system when they are freed, which
must clear every page that is taken again, update after update. With the
settings here, memory that was used once stays with the process.

Only the heap of glibc's main thread can hold large blocks, so that thread must
allocate them: it runs the programs itself. The others have heaps of their own.
Were they to share one, the small blocks of matrix products would wait for each
other there, for a third of the time on two cores.
"""

import contextlib
import ctypes
import os
import platform

import jax

# Parameters of mallopt(3), and values. By default there are so few heaps that
# the threads of one library share those of another.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_SETTINGS = {
  _TRIM_THRESHOLD: 2**31 - 1,
  _MMAP_THRESHOLD: 2**31 - 1,
  _ARENA_MAX: 1024,
}


def keep_freed_memory() -> bool:
  """Makes glibc keep freed memory; must come before anything is computed.

  On CPUs, a call of a program returns when it has run. Settings of the user's
  own, in GLIBC_TUNABLES or MALLOC_*, stay. Blocks of 2 GiB and more are still
  returned.

  Returns:
    Whether it is so; False with other C libraries.
  """
  own = any(name.startswith("MALLOC_") for name in os.environ)
  if own or "GLIBC_TUNABLES" in os.environ:
    return False
  if platform.libc_ver()[0] != "glibc":
    return False
  with contextlib.suppress(AttributeError):  # Versions without the setting.
    jax.config.update("jax_cpu_enable_async_dispatch", False)
  mallopt = ctypes.CDLL(None).mallopt
  return all([mallopt(name, value) for name, value in _SETTINGS.items()])
