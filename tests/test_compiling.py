"""Programs that compile soon compute what others do."""

import jax
import numpy as np

from pseudovideo import compiling
from pseudovideo.models import encoder
from tests import rounding

NET = encoder.LatentEncoder(8)


def test_parameters_are_those_of_an_ordinary_program(key):
  image, level = np.ones((1, 8, 8, 1), np.float32), np.ones(1)
  found = compiling.once(NET.init)(key, image, level)
  wanted = jax.jit(NET.init)(key, image, level)
  # Of a truncated normal draw.
  close = rounding.bound(30)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, atol=close), found, wanted
  )


def test_what_compiles_soon_is_the_same_function(key):
  x = jax.random.normal(key, (64, 64))
  functions = [
    jax.jit(lambda x: jax.nn.softmax(x @ x), compiler_options=options)
    for options in (None, compiling.compiled_soon())
  ]
  found, wanted = (function(x) for function in functions)
  # 64 summands of up to about 6 in the exponent.
  np.testing.assert_allclose(found, wanted, atol=rounding.bound(64, 40))
