"""FLOPs are counted as by hand, in products, convolutions, gradients, loops."""

import json

import jax
import jax.numpy as jnp
import pytest

from benchmarks import costs, fits


def counted(function, *shapes):
  arguments = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
  return costs.flops(jax.make_jaxpr(function)(*arguments).jaxpr)


def convolved(x, kernel, stride=1, groups=1):
  return jax.lax.conv_general_dilated(
    x, kernel, (stride, stride), "SAME",
    dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=groups,
  )  # fmt: skip


CONV = 2 * (2 * 8 * 8 * 6) * (3 * 3 * 4)


@pytest.mark.parametrize(
  ("function", "shapes", "expected"),
  [
    (jnp.matmul, [(5, 7), (7, 3)], 2 * 5 * 7 * 3),
    (jnp.matmul, [(4, 5, 7), (4, 7, 3)], 4 * 2 * 5 * 7 * 3),
    (convolved, [(2, 8, 8, 4), (3, 3, 4, 6)], CONV),
    (
      lambda x, k: convolved(x, k, groups=2),
      [(2, 8, 8, 4), (3, 3, 2, 6)],
      CONV / 2,
    ),
    (
      lambda x, k: convolved(x, k, stride=2),
      [(2, 8, 8, 4), (3, 3, 4, 6)],
      CONV / 4,
    ),
    (
      lambda x, m: jax.lax.scan(lambda c, _: (c @ m, None), x, length=9)[0],
      [(5, 7), (7, 7)],
      9 * 2 * 5 * 7 * 7,
    ),
    (
      lambda x, m: jax.lax.cond(
        x[0, 0] > 0, lambda: x @ m, lambda: x @ m @ m
      ),
      [(5, 7), (7, 7)],
      2 * 2 * 5 * 7 * 7,
    ),
  ],
)  # fmt: skip
def test_flops_are_counted(function, shapes, expected):
  assert counted(jax.jit(function), *shapes) == pytest.approx(expected)


@pytest.mark.parametrize("stride", [1, 2])
def test_a_gradient_by_both_arguments_costs_twice_the_convolution(stride):
  def loss(x, kernel):
    return jnp.sum(convolved(x, kernel, stride) ** 2)

  shapes = [(2, 8, 8, 4), (3, 3, 4, 6)]
  both = counted(jax.grad(loss, argnums=(0, 1)), *shapes)
  forward = CONV / stride**2
  assert both == pytest.approx(3 * forward, rel=0.2)


def test_it_writes_what_it_found(tmp_path, monkeypatch):
  monkeypatch.setattr(fits, "PRESET", "tiny")
  out = tmp_path / "costs.json"
  assert costs.run(["--rows=diffusion_4_cifar10", f"--out={out}"]) == 0
  found = json.loads(out.read_text())["values"]["diffusion_4_cifar10"]
  seconds = found["updates"] * found["gflop"] * 1e9 / costs.SUSTAINED
  assert found["hours"] == pytest.approx(seconds / 3600)
  assert found["gflop"] > 0
