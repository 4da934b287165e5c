import flax.linen as nn
import jax
import numpy as np
import pytest

from benchmarks import weights


def test_kernels_keep_the_variance():
  net = nn.Sequential([nn.Conv(50, (3, 3)), nn.LayerNorm()])
  x = np.ones((1, 4, 4, 20), np.float32)
  found = weights.random(net.init, jax.random.key(0), x)["params"]
  made = net.init(jax.random.key(0), x)["params"]
  shapes = [
    jax.tree.map(lambda a: (a.shape, a.dtype), t) for t in (found, made)
  ]
  assert shapes[0] == shapes[1]
  conv, norm = found["layers_0"], found["layers_1"]
  # 9,000 numbers: the standard error of a variance is 1.5%.
  assert np.var(conv["kernel"]) * 180 == pytest.approx(1, rel=0.06)
  assert not np.any(conv["bias"]) and not np.any(norm["bias"])
  np.testing.assert_array_equal(norm["scale"], 1)
