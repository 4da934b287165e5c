import numpy as np
import pytest

from pseudovideo import errors
from pseudovideo.pretrained.from_torch import inception as convert
from tests.pretrained.networks import inception_reference as reference


@pytest.fixture(scope="module")
def variables():
  return convert.to_flax(reference.state_dict())


def test_published_sizes():
  arrays = reference.state_dict()
  assert len(arrays) == 566
  assert len(list(reference.convolutions())) == 94
  floats = [a.size for a in arrays.values() if a.dtype == np.float32]
  assert sum(floats) == 23_885_392


def test_there_and_back_changes_no_bit(variables):
  back = convert.to_torch(variables)
  expected = reference.state_dict()
  assert back.keys() == expected.keys()
  for name, array in expected.items():
    assert back[name].dtype == array.dtype
    assert back[name].flags.c_contiguous
    np.testing.assert_array_equal(back[name], array)


def test_where_arrays_go(variables):
  arrays = reference.state_dict()
  kernel = variables["params"]["Mixed_6b"]["branch7x7_2"]["conv"]["kernel"]
  assert kernel.shape == (1, 7, 128, 128)
  weight = arrays["Mixed_6b.branch7x7_2.conv.weight"]
  assert kernel[0, 2, 5, 9] == weight[9, 5, 0, 2]
  mean = variables["batch_stats"]["Conv2d_1a_3x3"]["bn"]["mean"]
  np.testing.assert_array_equal(mean, arrays["Conv2d_1a_3x3.bn.running_mean"])


def test_counters_may_be_absent(variables):
  arrays = {
    name: array
    for name, array in reference.state_dict().items()
    if not name.endswith("num_batches_tracked")
  }
  assert len(arrays) == 94 * 5 + 2
  found = convert.to_flax(arrays)["params"]["fc"]["kernel"]
  np.testing.assert_array_equal(found, variables["params"]["fc"]["kernel"])


def test_half_precision_is_widened():
  arrays = dict(reference.state_dict())
  arrays["fc.bias"] = arrays["fc.bias"].astype(np.float16)
  bias = convert.to_flax(arrays)["params"]["fc"]["bias"]
  assert bias.dtype == np.float32
  np.testing.assert_array_equal(bias, arrays["fc.bias"])


CHANGES = [
  (
    {"fc.bias": None},
    r"it lacks 1 \(fc.bias\); give the weights of 2015-12-05",
  ),
  (
    {"Mixed_7c.branch1x1.bn.running_var": None},
    r"it lacks 1 \(Mixed_7c.branch1x1.bn.running_var\)",
  ),
  (
    {"AuxLogits.conv0.conv.weight": np.zeros(3, np.float32)},
    r"it has besides 1 \(AuxLogits.conv0.conv.weight\)",
  ),
  (
    {"fc.num_batches_tracked": np.array(0)},
    r"it has besides 1 \(fc.num_batches_tracked\)",
  ),
  (
    {"fc.weight": np.zeros((1000, 2048), np.float32)},
    r"'fc.weight' has the shape \(1000, 2048\), not \(1008, 2048\)",
  ),
  (
    {"Mixed_6b.branch7x7_2.conv.weight": np.zeros((128, 128, 7, 1))},
    r"has the shape \(128, 128, 7, 1\), not \(128, 128, 1, 7\)",
  ),
  (
    {"fc.bias": np.zeros(1008, np.int32)},
    "'fc.bias' is of type int32, not floating-point",
  ),
]


def test_other_state_dicts_are_refused():
  for changes, sentence in CHANGES:
    arrays = {**reference.state_dict(), **changes}
    arrays = {name: a for name, a in arrays.items() if a is not None}
    with pytest.raises(errors.UserError, match=sentence):
      convert.to_flax(arrays)


def test_other_variables_are_refused(variables):
  params = {name: p for name, p in variables["params"].items() if name != "fc"}
  with pytest.raises(ValueError, match="do not belong to InceptionV3"):
    convert.to_torch({**variables, "params": params})
