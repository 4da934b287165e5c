"""The pair of the masked prior: the passes of one drawn grid of 256 tokens.

The peer is phenaki-pytorch's MaskGit without text, called once per pass, not
twice as its sampler does even without text.
"""

import jax
import numpy as np
import torch
from phenaki_pytorch import MaskGit

from benchmarks.peers import pairs, phenaki_weights, torch_training
from pseudovideo import shapes
from pseudovideo.losses import masked_tokens
from pseudovideo.models import maskgit


def make() -> dict[str, pairs.Pair]:
  """The pair `passes` of the sizes of Table 9, in 18 passes."""
  return {"passes": pair(maskgit.MaskGit(), passes=18)}


def pair(net: maskgit.MaskGit, passes: int) -> pairs.Pair:
  """Checks the logits of all passes, whose tokens are drawn beforehand."""
  torch.manual_seed(0)
  peer = MaskGit(
    dim=net.width,
    num_tokens=net.codes,
    max_seq_len=net.num_tokens,
    unconditional=True,
    heads=net.heads,
    dim_head=net.head_width,
    depth=net.layers,
  )
  torch_training.shaken(peer.eval())
  arrays = torch_training.arrays(peer)
  params = jax.device_put(phenaki_weights.maskgit(arrays, net.layers))
  ids = inputs(net, passes)
  theirs = torch.from_numpy(ids).long()

  @jax.jit
  def logits(params, ids):
    return jax.lax.map(lambda x: net.apply({"params": params}, x), ids)

  def ours() -> jax.Array:
    return logits(params, ids).block_until_ready()

  def passed(peer: torch.nn.Module) -> torch.Tensor:
    return torch.stack([peer(x) for x in theirs])

  facts = pairs.equal(
    [ours()],
    [torch_training.inferred(passed, peer).numpy()],
    (shapes.count_parameters(params), torch_training.count(peer)),
  )
  return pairs.Pair(ours, torch_training.evaluations(peer, passed), facts)


def inputs(net: maskgit.MaskGit, passes: int) -> np.ndarray:
  """Tokens before each pass, (passes, 1, t, h, w), with as many masks as there.

  Which code stands where does not change the cost.
  """
  rng = np.random.default_rng(0)
  counts = masked_tokens.rounded_counts(net.num_tokens, passes)
  ids = rng.integers(0, net.codes, (passes, net.num_tokens))
  for row, count in zip(ids, counts, strict=True):
    row[rng.permutation(net.num_tokens)[:count]] = net.codes
  return ids.reshape(passes, 1, *net.grid).astype(np.int32)
