"""Chunks with a cache give what the whole clip gives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pseudovideo import errors
from tests.models.video_vae import nets

# Frames of the chunks of a clip of 17, and of their latents.
CHUNKS = [(1, 4, 4, 8), (9, 8)]
NAMES = ["lean", "baseline"]


@pytest.fixture(scope="module", params=NAMES)
def made(request):
  """Name, clip, latents and frames of the whole clip."""
  name = request.param
  params, video = nets.params(name), nets.clip(17)
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


@pytest.mark.parametrize("chunks", CHUNKS)
def test_chunks_are_encoded_as_the_whole_clip(made, chunks):
  name, video, latents, _ = made
  run, params = nets.encode(name), nets.params(name)
  parts, _ = in_chunks(run, params, video, chunks)
  for ours, whole in zip(parts, latents, strict=True):
    np.testing.assert_allclose(ours, whole, atol=1e-5)


@pytest.mark.parametrize("chunks", CHUNKS)
def test_chunks_are_decoded_as_the_whole_clip(made, chunks):
  name, _, latents, frames = made
  run, params = nets.decode(name), nets.params(name)
  lengths = [(length + 3) // 4 for length in chunks]
  parts, _ = in_chunks(run, params, latents[0], lengths)
  np.testing.assert_allclose(parts, frames, atol=1e-5)


def test_the_cache_matters(made):
  name, video, latents, _ = made
  run, params = nets.encode(name), nets.params(name)
  _, cache = run(params, video[:, :1], None)
  forgotten = jax.tree.map(jnp.zeros_like, cache)
  (means, _), _ = run(params, video[:, 1:5], forgotten)
  assert np.abs(means - latents[0][:, 1:2]).max() > 1e-3


def test_latents_can_be_decoded_by_a_scan(made):
  name, _, latents, frames = made
  run, params = nets.decode(name), nets.params(name)
  image, cache = run(params, latents[0][:, :1], None)

  def step(cache, latent):
    group, cache = run(params, latent[:, None], cache)
    return cache, group

  later = jnp.moveaxis(latents[0][:, 1:], 1, 0)
  _, groups = jax.lax.scan(step, cache, later)
  groups = jnp.moveaxis(groups, 0, 1).reshape(2, 16, *image.shape[2:])
  np.testing.assert_allclose(image, frames[:, :1], atol=1e-5)
  np.testing.assert_allclose(groups, frames[:, 1:], atol=1e-5)


def test_the_cache_is_a_frame_or_two_of_each_temporal_layer():
  """One for each convolution in groups; the baseline needs two, and its
  resampling of time one or two more."""
  sizes = {}
  for name in NAMES:
    params, video = nets.params(name), nets.clip(9)
    latents, cache = jax.eval_shape(nets.encode(name), params, video)
    _, more = jax.eval_shape(nets.decode(name), params, latents[0])
    leaves = jax.tree.leaves((cache, more))
    sizes[name] = [leaf.shape[1] for leaf in leaves]
  # Stem, head and two for each block of the two levels with larger groups.
  assert sizes["lean"] == [1] * (1 + 2 * 2 + 4 * 2 + 1)
  # Each of the eight deepest blocks and the two layers at the latents more.
  convolutions = 14 + 2 * (1 + 2 + 2 + 2) + 2
  assert sorted(sizes["baseline"]) == [1] * 2 + [2] * (convolutions + 2)


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
