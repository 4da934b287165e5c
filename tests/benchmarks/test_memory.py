import sys

import numpy as np
import pytest

from benchmarks import memory


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
@pytest.mark.parametrize("mb", [30, 90])
def test_the_peak_is_that_of_the_call(mb):
  # What was there before, and is gone, does not count.
  np.ones(25_000_000)

  def use():
    for _ in range(2):
      np.ones(mb * 125_000)

  assert memory.added_mb(use) == pytest.approx(mb, abs=4)


def test_other_systems_do_not_tell(monkeypatch):
  monkeypatch.setattr(sys, "platform", "darwin")
  assert memory.added_mb(lambda: None) is None
