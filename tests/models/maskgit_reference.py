"""The masked token model in float64 numpy, one grid of ids at a time.

Written from the description of the network alone; `p` is a nested dictionary of
parameters, `net` gives the fields.
"""

import numpy as np

from tests.models import transformer_reference


def features(ids, p, net):
  """Ids (N,) -> (N, D)."""
  x = np.stack([p["tokens"][i] + p["places"][n] for n, i in enumerate(ids)])
  n = len(ids)
  bias = np.zeros((net.heads, n, n))
  if "position_bias" in p:
    bias = transformer_reference.position_bias(net.grid, p["position_bias"])
  x = x.reshape(*net.grid, -1)
  x = transformer_reference.stack(
    x, p["transformer"], over="all", depth=net.layers, heads=net.heads,
    bias=bias,
  )  # fmt: skip
  return x.reshape(n, -1)


def logits(ids, p, net):
  """Ids (N,) -> (N, K)."""
  return transformer_reference.linear(
    features(ids, p, net), p["to_logits"]["linear"]
  )


def scores(ids, p, net):
  """Ids (N,) -> (N,)."""
  x = features(ids, p, net)
  return transformer_reference.linear(x, p["to_score"]["linear"])[:, 0]
