import numpy as np
import pytest

from pseudovideo import errors
from pseudovideo.pretrained.from_torch import efficientnet_lite as convert
from tests.pretrained.networks import efficientnet_lite_reference as reference


def test_names_and_shapes_are_the_packages():
  found = {
    name: array.shape
    for name, array in reference.state_dict().items()
    if not name.endswith("num_batches_tracked")
  }
  assert convert.expected() == found


def test_counters_may_be_absent():
  arrays = reference.state_dict()
  few = {n: a for n, a in arrays.items() if "num_batches" not in n}
  assert len(arrays) - len(few) == 49
  one, two = (convert.to_flax(given)["params"] for given in (arrays, few))
  np.testing.assert_array_equal(one["head"]["kernel"], two["head"]["kernel"])


def _without(name):
  arrays = dict(reference.state_dict())
  del arrays[name]
  return arrays


@pytest.mark.parametrize(
  ("arrays", "message"),
  [
    (_without("_fc.bias"), "it lacks 1"),
    (_without("_blocks.3._bn1.running_var"), "it lacks 1"),
    (reference.state_dict() | {"more": np.zeros(2)}, "it has besides 1"),
    (reference.state_dict() | {"_fc.bias": np.zeros(10)}, "has the shape"),
    (
      reference.state_dict() | {"_fc.bias": np.zeros(1000, int)},
      "not floating-point",
    ),
  ],
)
def test_another_state_dict_is_refused(arrays, message):
  with pytest.raises(errors.UserError, match=message):
    convert.to_flax(arrays)
