"""Programs that CPUs compile soon, for what runs once or a few times."""

import functools
from collections.abc import Callable
from typing import Any

import jax

_NOT_OPTIMISED = {
  # LLVM's, which is 3 otherwise and unrolls the loops of small kernels.
  "xla_backend_optimization_level": 0,
  # Without LLVM's optimisation the older code generator compiles faster.
  "xla_cpu_use_fusion_emitters": False,
}


def once(function: Callable[..., Any]) -> Callable[..., Any]:
  """`jax.jit` of a function that is called once, such as `Module.init`.

  On CPU a network's random numbers would compile for as long as its update;
  see `compiled_soon`.
  """
  program = jax.jit(function, compiler_options=compiled_soon())

  def call(*args):
    inside = any(isinstance(x, jax.core.Tracer) for x in jax.tree.leaves(args))
    # Of a part of another program, that one's options count.
    return function(*args) if inside else program(*args)

  return call


def compiled_soon() -> dict[str, Any] | None:
  """Options of `jax.jit` for what runs for a shorter time than it compiles.

  On CPU such programs compile sooner. They run slower, and are the same within
  the rounding of float32. Elsewhere there are no such options.
  """
  if jax.default_backend() != "cpu":
    return None
  return {
    name: value
    for name, value in _NOT_OPTIMISED.items()
    if _is_known(name, value)
  }


@functools.cache
def _is_known(name: str, value: Any) -> bool:
  """Whether this version of XLA has an option."""
  options = {name: value}
  try:
    jax.jit(lambda: 0, compiler_options=options).lower().compile()
  except jax.errors.JaxRuntimeError:
    return False
  return True
