"""The shared convolution against XLA's, with derivatives of both orders."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from pseudovideo.devices import sharding
from pseudovideo.models import convolution, winograd

LAYOUT = ("NHWC", "HWIO", "NHWC")
FORMS = {
  "conv3x3": (winograd.convolve, convolution.plain_conv3x3),
  "input_gradient": (winograd.input_gradient, convolution.plain_input_gradient),
  "weight_gradient": (
    winograd.weight_gradient,
    convolution.plain_weight_gradient,
  ),
}


def arrays(b=2, h=6, w=6, c=3, d=5, dtype=np.float64):
  """x, kernel and the gradient of the output."""
  rng = np.random.default_rng(0)
  shapes = (b, h, w, c), (3, 3, c, d), (b, h, w, d)
  return [jnp.asarray(rng.standard_normal(s), dtype) for s in shapes]


def arguments(name, x, kernel, dy):
  return {
    "conv3x3": (x, kernel),
    "input_gradient": (dy, kernel),
    "weight_gradient": (x, dy),
  }[name]


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("sides", [(2, 2), (6, 8), (7, 5), (1, 4)])
@pytest.mark.parametrize("part", [1, 10**9])
def test_winograd_is_the_plain_form(name, sides, part, monkeypatch):
  """For any sides, in one part or with one image in each."""
  monkeypatch.setattr(winograd, "MAX_VALUES", part)
  fast, plain = (form.__wrapped__ if i == 0 else form
                 for i, form in enumerate(FORMS[name]))  # fmt: skip
  with jax.enable_x64(True):
    given = arguments(name, *arrays(3, *sides))
    np.testing.assert_allclose(fast(*given), plain(*given), atol=1e-12)


@pytest.mark.parametrize("name", FORMS)
def test_second_derivatives(name):
  """Gradients of a gradient's square, as of a gradient penalty."""
  fast = getattr(convolution, name)

  def penalty(form, *given):
    grads = jax.grad(lambda *a: jnp.sum(jnp.tanh(form(*a))), (0, 1))(*given)
    return sum(jnp.sum(g * g) for g in grads)

  given = arguments(name, *arrays(dtype=np.float32))
  found = jax.grad(lambda *a: penalty(fast, *a), (0, 1))(*given)
  wanted = jax.grad(lambda *a: penalty(FORMS[name][1], *a), (0, 1))(*given)
  for a, b in zip(found, wanted, strict=True):
    np.testing.assert_allclose(a, b, atol=1e-4 * float(jnp.abs(b).max()))


@pytest.mark.parametrize(
  ("kernel", "options"),
  [
    ((3, 3, 64, 64), {}),
    ((1, 1, 8, 4), {"padding": ((0, 0), (0, 0))}),
    ((1, 1, 8, 4), {"padding": ((1, 0), (0, 1))}),
    ((3, 3, 64, 64), {"padding": ((0, 1), (0, 1))}),
    ((3, 3, 64, 64), {"window_strides": (2, 2)}),
    ((3, 3, 64, 64), {"rhs_dilation": (2, 2)}),
    ((3, 3, 16, 64), {"feature_group_count": 4}),
    ((5, 5, 8, 4), {}),
  ],
)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_any_convolution_is_xlas(kernel, options, dtype):
  """Of every kind, so the fast forms are taken where they are equal only."""
  options = {"window_strides": (1, 1), "padding": ((1, 1), (1, 1))} | options
  rng = np.random.default_rng(0)
  c = kernel[2] * options.get("feature_group_count", 1)
  x = jnp.asarray(rng.standard_normal((16, 16, 16, c)), dtype)
  k = jnp.asarray(rng.standard_normal(kernel), dtype)

  def run(form, x, k):
    y = form(x, k, dimension_numbers=LAYOUT, **options)
    return y, jax.grad(lambda *a: jnp.sum(form(
      *a, dimension_numbers=LAYOUT, **options) ** 2), (0, 1))(x, k)  # fmt: skip

  found = jax.tree.leaves(run(convolution.convolution, x, k))
  wanted = jax.tree.leaves(run(lax.conv_general_dilated, x, k))
  for a, b in zip(found, wanted, strict=True):
    a, b = np.float32(a), np.float32(b)
    np.testing.assert_allclose(a, b, atol=1e-5 * np.abs(b).max())


def large():
  """Arguments for which the fast form is taken on a CPU."""
  x, kernel, _ = arrays(16, 16, 16, 64, 64, np.float32)
  assert convolution.is_large(x.shape, kernel.shape)
  return x, kernel


def layer(x, kernel):
  return convolution.convolution(
    x, kernel, (1, 1), ((1, 1), (1, 1)), dimension_numbers=LAYOUT
  )


def test_accelerators_run_xlas_form():
  lowered = jax.jit(layer).trace(*large()).lower(lowering_platforms=("tpu",))
  text = lowered.as_text()
  assert text.count("stablehlo.convolution") == 1
  assert "dot_general" not in text


def test_layers_of_one_shape_share_a_program():
  """Otherwise every layer costs a second of compilation."""

  def layers(x, kernel):
    for _ in range(3):
      x = layer(x, kernel)
    return x

  text = jax.jit(layers).lower(*large()).as_text()
  assert text.count("call @convolve") == 3
  assert text.count("func.func private @convolve") == 1
  assert jax.jit(layers).lower(*large()).compile().as_text().count("call(") == 3


def test_images_on_several_devices():
  x, kernel = large()
  mesh = sharding.make_mesh()
  assert mesh.size == 4
  cut = jax.device_put(x, sharding.split_batch(mesh))
  loss = jax.jit(jax.grad(lambda x, k: jnp.sum(layer(x, k) ** 2), (0, 1)))
  for a, b in zip(loss(cut, kernel), loss(x, kernel), strict=True):
    np.testing.assert_allclose(a, b, atol=1e-5 * float(jnp.abs(b).max()))
