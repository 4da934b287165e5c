"""The tokenizer's network against numpy in float64, its sizes, causality."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pseudovideo import errors
from pseudovideo.models import tokenizer
from tests.models import parameters
from tests.models import transformer_reference as reference

TINY = tokenizer.Tokenizer(
  frames=6, channels=2, width=12, heads=2, head_width=4, spatial_layers=1,
  temporal_layers=1,
)  # fmt: skip
SIDES = (8, 12)
IMAGE = (*SIDES, 2)

NETS = {
  "first frame": TINY.clone(frames=5, grid="first_frame"),
  "one frame": TINY.clone(frames=1, temporal_layers=0),
  "scrambled, raw": TINY.clone(scrambled_peg=True, normalised_patches=False),
}

# Network and its published number of parameters, without a quantizer.
PUBLISHED = {
  "1 frame": (
    tokenizer.Tokenizer(frames=1, spatial_layers=8, temporal_layers=0),
    50_679_448,
  ),
  "9 frames": (tokenizer.Tokenizer(frames=9, grid="first_frame"), 50_894_264),
}


def test_parameter_counts_are_the_published_ones(key):
  for net, published in PUBLISHED.values():
    net.check((32, 32, 3))
    video = jnp.zeros((1, net.frames, 32, 32, 3))
    shapes = jax.eval_shape(net.init, key, video)["params"]
    assert sum(s.size for s in jax.tree.leaves(shapes)) == published


@pytest.fixture(scope="module", params=NETS.values(), ids=NETS.keys())
def made(request):
  """Network, parameters, video, compiled `encode` and `decode`."""
  net = request.param
  net.check(IMAGE)
  rng = np.random.default_rng(0)
  video = rng.random((2, net.frames, *IMAGE)).astype(np.float32)
  params = parameters.drawn(net.init, video)

  def method(name):
    return jax.jit(lambda p, x: net.apply({"params": p}, x, method=name))

  return net, params, video, method("encode"), method("decode")


# Float32 rounds by 6e-8 at each of some 500 sums in a row: those of eight
# products over up to 64 numbers.
CLOSE = 3e-5


def relative_error(ours, expected):
  return np.abs(np.asarray(ours) - expected).max() / np.abs(expected).max()


def test_network_is_its_definition(made):
  net, params, video, encode, decode = made
  latents = encode(params, video)
  assert latents.shape == (2, *net.grid_shape(IMAGE), 12)
  out = decode(params, latents)
  assert out.shape == video.shape
  numbers = jax.tree.map(lambda p: np.asarray(p, np.float64), params)
  for row in range(2):
    expected = reference.encode(video[row].astype(np.float64), numbers, net)
    assert relative_error(latents[row], expected) < CLOSE
    expected = reference.decode(
      np.asarray(latents[row], np.float64), numbers, net
    )
    assert relative_error(out[row], expected) < CLOSE


@pytest.mark.parametrize(
  "made",
  [net for net in NETS.values() if net.frames > 1],
  ids=[name for name, net in NETS.items() if net.frames > 1],
  indirect=True,
)
def test_latents_do_not_see_later_frames(made):
  net, params, video, encode, _ = made
  changed = video.copy()
  changed[:, -2:] = 1 - changed[:, -2:]
  before, after = encode(params, video), encode(params, changed)
  assert np.abs(after[:, -1] - before[:, -1]).max() > 0.1
  if net.scrambled_peg:
    assert np.abs(after[:, :-1] - before[:, :-1]).max() > 0.1
  else:
    np.testing.assert_array_equal(after[:, :-1], before[:, :-1])


@pytest.mark.parametrize(
  ("frames", "normalised"), [(1, True), (1, False), (6, True)]
)
def test_one_frame_of_normalised_patches_hides_their_brightness(
  frames, normalised
):
  """And their contrast; patches of several frames keep how frames differ.

  Those are in the stem's hands: what it makes of patches, stacks see.
  """
  net = TINY.clone(
    frames=frames, normalised_patches=normalised, temporal_layers=0
  )
  rng = np.random.default_rng(0)
  scale = rng.uniform(0.5, 2, (1, 1, 2, 1, 3, 1, 1))
  shift = rng.uniform(-1, 1, scale.shape)
  image = rng.random((1, 1, 2, 4, 3, 4, 2))
  changed = scale * image + shift
  # The first frames are the same in both videos, as blurred ones nearly are.
  older = np.repeat(image, frames - 1, axis=1)

  def video(last):
    frames_of = np.concatenate([older, last], axis=1)
    return jnp.asarray(frames_of.reshape(1, frames, *IMAGE), jnp.float32)

  one, other = video(image), video(changed)
  params = parameters.drawn(net.init, one)
  encode = jax.jit(lambda x: net.apply({"params": params}, x, method="encode"))
  latents, moved = encode(one), encode(other)
  difference = np.abs(latents - moved)[:, -1].max()
  hidden = normalised and frames == 1
  assert difference < 1e-3 if hidden else difference > 0.1


@pytest.mark.parametrize(
  "made",
  [NETS["first frame"], NETS["one frame"]],
  ids=["first frame", "one frame"],
  indirect=True,
)
def test_the_head_is_apart_and_linear(made):
  net, params, video, encode, decode = made
  latents = encode(params, video)
  out = np.asarray(decode(params, latents))
  name = [head for head in tokenizer.HEADS if head in params][-1]
  kernel = params[name]["linear"]["kernel"]

  @jax.jit
  def run(kernel):
    features = net.apply({"params": params}, latents, method="decode_features")

    def last_sum(kernel):
      head = {"linear": params[name]["linear"] | {"kernel": kernel}}
      changed = {"params": params | {name: head}}
      video = net.apply(changed, features, method="to_pixels")
      return video[:, -1].sum(), video

    return features, jax.value_and_grad(last_sum, has_aux=True)(kernel)

  features, ((_, video), gradient) = run(kernel)
  np.testing.assert_allclose(video, out, rtol=1e-5, atol=1e-5)
  # Each pixel of the last frame is one column of the kernel; the columns of
  # earlier frames of the tubelet have no part in it.
  sums = np.asarray(features[:, -1]).sum((0, 1, 2))
  frames = 1 if net.frames == 1 else net.patch[0]
  expected = np.zeros((12, 2, frames, 4, 4))
  expected[:, :, -1] = sums[:, None, None, None]
  np.testing.assert_allclose(gradient, expected.reshape(12, -1), atol=1e-4)


def test_patches_are_ordered_by_channel_time_row_column():
  video = np.arange(2 * 4 * 6 * 8 * 3, dtype=np.float32)
  video = video.reshape(2, 4, 6, 8, 3)
  patch = (2, 3, 4)
  ours = tokenizer.patchify(jnp.asarray(video), patch)
  for row in range(2):
    np.testing.assert_array_equal(
      ours[row], reference.blocks(video[row], patch)
    )
  np.testing.assert_array_equal(tokenizer.unpatchify(ours, patch), video)


@pytest.mark.parametrize(
  "made", [NETS["first frame"]], indirect=True, ids=["first frame"]
)
def test_bfloat16_is_close_and_keeps_float32_parameters(made):
  net, params, video, encode, _ = made
  low = net.clone(dtype="bfloat16")
  lower = jax.jit(lambda p, x: low.apply({"params": p}, x, method="encode"))(
    params, video
  )
  assert lower.dtype == jnp.float32
  assert 0 < relative_error(lower, encode(params, video)) < 0.1
  shapes = jax.eval_shape(low.init, jax.random.key(0), video)["params"]
  assert {s.dtype for s in jax.tree.leaves(shapes)} == {jnp.dtype("float32")}


def test_all_stacks_have_the_dtype_of_the_network():
  net = TINY.clone(dtype="bfloat16").bind({})
  for part in ("encoder", "decoder"):
    for over in ("space", "time"):
      assert getattr(net, f"{part}_{over}").dtype == jnp.bfloat16


def test_grids_of_the_paper():
  for frames, grid, side, expected in [
    (8, "tubelets", 32, (4, 8, 8)),
    (18, "tubelets", 32, (9, 8, 8)),
    (18, "tubelets", 64, (9, 16, 16)),
    (1, "tubelets", 64, (1, 16, 16)),
    (1, "first_frame", 32, (1, 8, 8)),
    (9, "first_frame", 32, (5, 8, 8)),
  ]:
    net = tokenizer.Tokenizer(frames=frames, grid=grid)
    net.check((side, side, 3))
    assert net.grid_shape((side, side, 3)) == expected


@pytest.mark.parametrize(
  "change, words",
  [
    (dict(frames=7), "multiple of 2.*got 7 frames.*'first_frame'"),
    (dict(grid="first_frame"), "1 more than a multiple.*got 6.*'tubelets'"),
    (dict(patch=(2, 3, 4)), "divisible by 3.*got 8x12"),
    (dict(patch=(2, 4, 5)), "width by 5.*got 8x12"),
    (dict(channels=3), "model.channels.*2; got 3"),
  ],
)
def test_impossible_fields_are_refused(change, words):
  with pytest.raises(errors.UserError, match=words):
    TINY.clone(**change).check(IMAGE)
