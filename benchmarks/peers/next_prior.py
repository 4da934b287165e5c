"""The pair of the next-token prior: a grid of 256 tokens, drawn with a cache.

x-transformers has no network that equals ours, which is VideoGPT's: its places
are three concatenated vectors, its norm adds epsilon to the root, its tokens
enter as the tokenizer's vectors. The peer has the same width, depth, heads and
codes, so that sizes can be compared, and outputs cannot.
"""

import functools
from collections.abc import Callable

import jax
import torch
from x_transformers import AutoregressiveWrapper, Decoder, TransformerWrapper

from benchmarks import token_sampling
from benchmarks.peers import pairs, torch_training
from pseudovideo import errors, keys, shapes
from pseudovideo.models import video_gpt

MOST = 0.05
"""Largest difference of the numbers of parameters, as a share of ours."""


def make() -> dict[str, pairs.Pair]:
  """The pair `grid` of the sizes of Table 8."""
  row = token_sampling.ROWS["next_256"]
  task = token_sampling.make_task(row)
  params = task.init_params(jax.random.key(0))
  weights, state = task.coder.init(jax.random.key(1), None)
  extra = {"frozen": {"tokenizer": {"params": weights, "extra": state}}}
  draw = jax.jit(functools.partial(task.sample_ids, num=row.batch))
  key = keys.named(jax.random.key(0), "draw")

  def ours() -> jax.Array:
    return draw(params, extra, key=key).block_until_ready()

  peers = {
    "plain attention": network(task.model, False),
    "fused attention": network(task.model, True),
  }
  ways = {
    name: functools.partial(_drawing, peer, task.num_tokens)
    for name, peer in peers.items()
  }
  counts = {torch_training.count(peer) for peer in peers.values()}
  facts = sizes(shapes.count_parameters(params), max(counts))
  return {"grid": pairs.Pair(ours, ways, facts)}


def network(net: video_gpt.VideoGPT, fused: bool) -> AutoregressiveWrapper:
  """The decoder of the sizes of ours, its attention in one call if `fused`."""
  torch.manual_seed(0)
  decoder = Decoder(
    dim=net.width,
    depth=net.layers,
    heads=net.heads,
    attn_dim_head=net.width // net.heads,
    attn_flash=fused,
  )
  wrapped = TransformerWrapper(
    num_tokens=net.codes, max_seq_len=net.num_tokens, attn_layers=decoder
  )
  return AutoregressiveWrapper(wrapped).eval()


def sizes(ours: int, peer: int) -> pairs.Found:
  """The two numbers of parameters, which must be close.

  Raises:
    RunError: they are not.
  """
  if abs(ours - peer) > MOST * ours:
    raise errors.RunError(
      f"Ours has {ours} parameters and the peer {peer}, which is no network of "
      "equal size; it is not timed."
    )
  return {"parameters": ours, "peer_parameters": peer, "difference": None}


def _drawing(
  peer: AutoregressiveWrapper, tokens: int
) -> Callable[[], torch.Tensor]:
  return functools.partial(drawn, peer, tokens)


@torch.inference_mode()
def drawn(peer: AutoregressiveWrapper, tokens: int) -> torch.Tensor:
  """Draws tokens behind a first one, at temperature 1, from all codes."""
  start = torch.zeros(1, 1, dtype=torch.long)
  return peer.generate(
    start, tokens, cache_kv=True, filter_logits_fn=lambda logits: logits
  )
