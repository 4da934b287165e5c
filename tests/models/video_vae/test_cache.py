"""Chunks with a cache give what the whole clip gives."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pseudovideo import errors
from pseudovideo.models.video_vae import cache
from tests.models.video_vae import nets

# Latents of the chunks of a clip of 9 frames. The first of them is of one
# frame, each other of two, or of four where time is halved twice.
CHUNKS = {
  "by two": [(1, 1, 1, 2), (1, 4)],
  "baseline": [(1, 2, 2)],
  "lean": [(1, 1, 1)],
}


@pytest.fixture(scope="module", params=CHUNKS)
def made(request):
  """Name, clip, latents and frames of the whole clip."""
  name = request.param
  params, video = nets.params(name), nets.clip(9)
  latents, _ = nets.encode(name)(params, video, None)
  frames, _ = nets.decode(name)(params, latents[0], None)
  return name, video, latents, frames


def in_chunks(run, params, x, lengths):
  """The results of all chunks, behind each other, and the last cache."""
  cache, parts, start = None, [], 0
  for length in lengths:
    part, cache = run(params, x[:, start : start + length], cache)
    parts.append(part)
    start += length
  assert start == x.shape[1]
  return jax.tree.map(lambda *p: jnp.concatenate(p, axis=1), *parts), cache


def test_chunks_are_encoded_as_the_whole_clip(made):
  """The first of them, an image, too."""
  name, video, latents, _ = made
  run, params = nets.encode(name), nets.params(name)
  factor = 2 ** sum(nets.NETS[name].temporal)
  for first, *later in CHUNKS[name]:
    chunks = [first, *(factor * length for length in later)]
    parts, _ = in_chunks(run, params, video, chunks)
    for ours, whole in zip(parts, latents, strict=True):
      assert nets.relative_error(ours, whole) < nets.CLOSE


def test_chunks_are_decoded_as_the_whole_clip(made):
  name, _, latents, frames = made
  run, params = nets.decode(name), nets.params(name)
  for chunks in CHUNKS[name]:
    parts, _ = in_chunks(run, params, latents[0], chunks)
    assert nets.relative_error(parts, frames) < nets.CLOSE


def test_the_cache_matters(made):
  name, video, latents, _ = made
  run, params = nets.encode(name), nets.params(name)
  _, cache = run(params, video[:, :1], None)
  forgotten = jax.tree.map(jnp.zeros_like, cache)
  (means, _), _ = run(params, video[:, 1:5], forgotten)
  assert np.abs(means[:, :1] - latents[0][:, 1:2]).max() > 1e-3


def test_a_scan_over_latents_can_carry_the_cache():
  """Its shapes stay as they are after each of them."""
  name = "lean"
  run, params = nets.decode(name), nets.params(name)
  latents = nets.latents(name, 9)
  _, first = jax.eval_shape(run, params, latents[:, :1])
  _, cache = jax.eval_shape(run, params, latents[:, 1:2], first)
  assert cache == first


def test_the_cache_is_a_frame_or_two_of_each_temporal_layer():
  """One for each convolution in groups; the baseline needs two, and its
  resampling of time one or two more."""
  sizes = []
  for net in (nets.LEAN, nets.BASELINE):
    video = nets.clip(9)
    params = jax.eval_shape(net.init, jax.random.key(0), video)["params"]
    encode, decode = (
      functools.partial(run, net) for run in (cache.encode, cache.decode)
    )
    latents, kept = jax.eval_shape(encode, params, video)
    _, more = jax.eval_shape(decode, params, latents[0])
    leaves = jax.tree.leaves((kept, more))
    sizes.append([leaf.shape[1] for leaf in leaves])
  lean, baseline = sizes
  # Stem, head and two for each block of the two levels with larger groups.
  assert lean == [1] * (1 + 2 * 2 + 4 * 2 + 1)
  # Each of the eight deepest blocks and the two layers at the latents more.
  convolutions = 14 + 2 * (1 + 2 + 2 + 2) + 2
  assert sorted(baseline) == [1] * 2 + [2] * (convolutions + 2)


@pytest.mark.parametrize(
  "frames, cached, words",
  [
    (8, False, r"1 \+ 4 n frames .* got 8: use 5 or 9"),
    (4, True, ""),
    (5, True, "4 n frames.* got 5: use 4 or 8"),
  ],
)
def test_chunks_end_with_a_whole_group(frames, cached, words):
  run, params = nets.encode("lean"), nets.params("lean")
  cache = None
  if cached:
    _, cache = jax.eval_shape(run, params, nets.clip(1))
  if not words:
    jax.eval_shape(run, params, nets.clip(frames), cache)
    return
  with pytest.raises(errors.UserError, match=words):
    jax.eval_shape(run, params, nets.clip(frames), cache)


def test_a_later_chunk_without_the_cache_is_refused():
  with pytest.raises(ValueError, match="needs the cache"):
    jax.eval_shape(nets.encode("lean"), nets.params("lean"), nets.clip(4), {})
