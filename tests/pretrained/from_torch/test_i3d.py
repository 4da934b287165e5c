"""Exactly the names and shapes of I3D's PyTorch state dict are taken."""

import jax
import numpy as np
import pytest

from pseudovideo import errors
from pseudovideo.pretrained.from_torch import i3d as convert_i3d
from tests.pretrained.networks import backbone_reference as reference


@pytest.fixture(scope="module")
def zeros():
  return {
    name: np.broadcast_to(np.float32(0), shape)
    for name, (shape, _) in reference.i3d_arrays().items()
  }


def test_published_names(zeros):
  """57 convolutions with batch statistics, and the logits."""
  assert len(zeros) == 57 * 5 + 2
  spots = {
    "Conv3d_1a_7x7.conv3d.weight": (64, 3, 7, 7, 7),
    "Mixed_4d.b1b.conv3d.weight": (256, 128, 3, 3, 3),
    "Mixed_5b.b2a.bn.running_var": (32,),
    "Mixed_5c.b3b.conv3d.weight": (128, 832, 1, 1, 1),
    "logits.conv3d.weight": (400, 1024, 1, 1, 1),
  }
  assert {name: zeros[name].shape for name in spots} == spots


def test_counters_may_be_there(zeros):
  given = zeros | {
    name.replace("weight", "num_batches_tracked"): np.int64(7)
    for name in zeros
    if name.endswith("bn.weight")
  }
  assert len(given) == 57 * 6 + 2
  with_counters, without = map(convert_i3d.to_flax, (given, zeros))
  assert jax.tree.structure(with_counters) == jax.tree.structure(without)


def _without(state_dict, *names):
  return {n: array for n, array in state_dict.items() if n not in names}


CHANGES = [
  (
    lambda sd: _without(sd, "Mixed_3b.b0.bn.running_var"),
    r"I3D for 400 classes: it lacks 1 \(Mixed_3b\.b0\.bn\.running_var\);",
  ),
  (
    lambda sd: sd | {"logits.bn.num_batches_tracked": np.int64(0)},
    r"it has besides 1 \(logits\.bn\.num_batches_tracked\);",
  ),
  (
    lambda sd: sd | {"logits.conv3d.bias": np.zeros(157, np.float32)},
    r"'logits\.conv3d\.bias' has the shape \(157,\), not \(400,\);",
  ),
  (
    lambda sd: (
      sd | {"Mixed_3b.b0.conv3d.weight": np.zeros((1, 1, 1, 192, 64), "f4")}
    ),
    r"has the shape \(1, 1, 1, 192, 64\), not \(64, 192, 1, 1, 1\);",
  ),
  (
    lambda sd: sd | {"logits.conv3d.bias": np.zeros(400, int)},
    r"'logits\.conv3d\.bias' is of type int64, not floating-point;",
  ),
]


def test_another_state_dict_is_refused(zeros):
  for change, said in CHANGES:
    with pytest.raises(errors.UserError, match=said):
      convert_i3d.to_flax(change(zeros))
