"""Sizes of convolutions, against convolutions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pseudovideo import errors
from pseudovideo.models import convolution
from pseudovideo.models.convolution import Layer

ENDS = st.integers(0, 3)
LAYERS = st.builds(
  Layer,
  kernel=st.integers(1, 5),
  stride=st.integers(1, 4),
  padding=st.one_of(ENDS, st.tuples(ENDS, ENDS)),
  dilation=st.integers(1, 3),
)


def ends(layer):
  if isinstance(layer.padding, tuple):
    return layer.padding
  return layer.padding, layer.padding


def windows(size, layer):
  """The places that each output reads in the padded input, one by one."""
  padded = size + sum(ends(layer))
  found, start = [], 0
  while True:
    places = [start + tap * layer.dilation for tap in range(layer.kernel)]
    if places[-1] >= padded:
      return found
    found.append(places)
    start += layer.stride


def convolve(x, kernel, layer):
  """Cross-correlation of a (L,) or (H, W) array by XLA."""
  axes = x.ndim
  return jax.lax.conv_general_dilated(
    x[None, None],
    kernel[None, None],
    (layer.stride,) * axes,
    [ends(layer)] * axes,
    rhs_dilation=(layer.dilation,) * axes,
  )[0, 0]


# --- the lecture on natural image decoders ---


@pytest.mark.parametrize(
  "size, layer, expected",
  [
    (4, Layer(2), 3),  # figures 3, 5, 7
    (3, Layer(2), 2),  # figures 4, 6, 8, and each axis of figure 13
    (4, Layer(3, padding=1), 4),  # figure 9
    (3, Layer(3, stride=2, padding=1), 2),  # figure 10
    (4, Layer(3, padding=1, dilation=2), 2),  # figure 11
  ],
)
def test_figures_of_the_lecture(size, layer, expected):
  assert convolution.output_size(size, *layer) == expected


@pytest.mark.parametrize(
  "x, kernel, padding, printed",
  [
    ([1, 2, 0, -1], [2, -1, 3], (1, 3), [5, 0, 1, 1, -2, 0]),
    ([3, 0, -2, 1, 4], [1, -2], (0, 2), [3, 4, -4, -7, 4, 0]),
    (
      [[1, 0], [2, -1]],
      [[1, 2], [0, -1]],
      (0, 2),
      [[2, 0, 0], [0, -1, 0], [0, 0, 0]],
    ),
    (
      [[0, 1, 2], [-1, 3, 1]],
      [[2, 0], [1, -1]],
      (0, 2),
      [[-4, 4, 5, 0], [-2, 6, 2, 0], [0, 0, 0, 0]],
    ),
  ],
)
def test_worked_examples_of_the_lecture(x, kernel, padding, printed):
  """It prints L + K - 1 values from place 0 on, hence the uneven padding."""
  x, kernel, printed = map(jnp.float32, (x, kernel, printed))
  found = convolve(x, kernel, Layer(1, padding=padding))
  np.testing.assert_array_equal(found, printed)
  shapes = zip(x.shape, kernel.shape, printed.shape, strict=True)
  for size, taps, expected in shapes:
    assert convolution.output_size(size, taps, padding=padding) == expected
    assert expected == size + taps - 1


# --- convolutions ---


@given(st.integers(1, 30), LAYERS)
def test_output_size_is_that_of_xla(size, layer):
  shape = jax.eval_shape(
    lambda x, kernel: convolve(x, kernel, layer),
    jax.ShapeDtypeStruct((size,), jnp.float32),
    jax.ShapeDtypeStruct((layer.kernel,), jnp.float32),
  ).shape
  assert (convolution.output_size(size, *layer),) == shape


@given(st.integers(0, 30), LAYERS)
def test_windows_and_remainder(size, layer):
  found = windows(size, layer)
  assert convolution.output_size(size, *layer) == len(found)
  reached = found[-1][-1] + 1 if found else 0
  left = size + sum(ends(layer)) - reached
  assert convolution.remainder(size, layer) == left


@given(st.integers(1, 12), st.integers(1, 5), ENDS, st.integers(1, 3))
def test_equals_numpy(size, kernel, padding, stride):
  full = np.convolve(np.ones(size + 2 * padding), np.ones(kernel), "full")
  valid = full[kernel - 1 : size + 2 * padding][::stride]
  found = convolution.output_size(size, kernel, stride, padding)
  assert found == len(valid)


# --- stacks ---


def run(size, layers):
  """The sizes after every layer, and whether each left no remainder."""
  sizes, exact = [size], True
  for layer in layers:
    found = windows(sizes[-1], layer)
    padded = sizes[-1] + sum(ends(layer))
    exact = exact and bool(found) and found[-1][-1] == padded - 1
    sizes.append(len(found))
  return sizes, exact


STACKS = st.lists(LAYERS, max_size=3)


@given(st.integers(1, 60), STACKS)
def test_legal_sizes_are_those_without_remainder(size, layers):
  below, above = convolution.legal_sizes(size, layers)
  assert run(above, layers)[1]
  smaller = [n for n in range(1, size + 1) if run(n, layers)[1]]
  assert below == (smaller[-1] if smaller else None)
  assert not any(run(n, layers)[1] for n in range(size, min(above, 150)))
  assert convolution.input_size(run(above, layers)[0][-1], layers) == above


def test_check_names_the_neighbours():
  """Three halvings of the kind that pads behind only: multiples of 8."""
  halvings = [Layer(3, stride=2, padding=(0, 1))] * 3
  for size in (8, 16, 64):
    convolution.check_size(size, halvings, "height")
  for size, legal in [(20, "16 or 24"), (12, "8 or 16"), (7, "8")]:
    with pytest.raises(errors.UserError) as caught:
      convolution.check_size(size, halvings, "height")
    assert str(caught.value) == (
      f"The height {size} is not covered by the convolutions without a "
      f"remainder; the next sizes that are: {legal}."
    )


def test_frames_of_a_causal_codec():
  """Two causal halvings of time take 1 + 4 n frames, to 1 + n."""
  halvings = [Layer(3, stride=2, padding=(2, 0))] * 2
  assert [convolution.input_size(n, halvings) for n in (1, 2, 5)] == [1, 5, 17]
  assert convolution.legal_sizes(8, halvings) == (5, 9)


@given(STACKS)
def test_receptive_field_is_what_an_output_depends_on(layers):
  field = convolution.receptive_field(layers)
  size = convolution.legal_sizes(60, layers)[1]
  depends = [{place} for place in range(size)]
  for layer in layers:
    before = ends(layer)[0]
    depends = [
      set().union(
        *(
          depends[place - before]
          for place in places
          if 0 <= place - before < len(depends)
        )
      )
      for places in windows(len(depends), layer)
    ]
  for output, places in enumerate(depends):
    first = output * field.stride - field.before
    if first >= 0 and first + field.size <= size:
      assert (min(places), max(places)) == (first, first + field.size - 1)


def test_receptive_fields_of_known_networks():
  three = [Layer(3, padding=1)] * 3
  assert convolution.receptive_field(three) == (7, 1, 3)
  # The convolutions and poolings of VGG-16, whose last pooling sees 212.
  vgg = []
  for depth in (2, 2, 3, 3, 3):
    vgg += [Layer(3, padding=1)] * depth + [Layer(2, stride=2)]
  assert convolution.receptive_field(vgg)[:2] == (212, 32)
  assert convolution.input_size(7, vgg) == 224


@pytest.mark.parametrize(
  "layer, said",
  [
    (Layer(0), "kernel 0, stride 1 and dilation 1; each must be at least 1"),
    (Layer(3, stride=0), "kernel 3, stride 0"),
    (Layer(3, dilation=-1), "dilation -1"),
    (Layer(3, padding=-1), "the padding -1; it must not be negative"),
    (Layer(3, padding=(0, -2)), r"the padding \(0, -2\)"),
  ],
)
def test_numbers_out_of_bounds_are_refused(layer, said):
  for function in (
    lambda: convolution.output_size(8, *layer),
    lambda: convolution.remainder(8, layer),
    lambda: convolution.input_size(8, [layer]),
    lambda: convolution.receptive_field([layer]),
  ):
    with pytest.raises(errors.UserError, match=said):
      function()
