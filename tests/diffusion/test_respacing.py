import numpy as np
import pytest

from pseudovideo import errors
from pseudovideo.diffusion.respacing import kept_steps


def test_fifty_of_a_thousand_keeps_both_ends():
  kept = kept_steps("50", 1000)
  assert kept[:5].tolist() == [0, 20, 41, 61, 82] and kept[-1] == 999
  assert kept.tolist() == [round(i * 999 / 49) for i in range(50)]


def test_ddim_fifty_of_a_thousand_strides():
  assert kept_steps("ddim50", 1000).tolist() == list(range(0, 1000, 20))


def test_all_steps():
  for text in ("", "30", "ddim30"):
    assert kept_steps(text, 30).tolist() == list(range(30))


def test_sections_are_spaced_each_as_a_chain_of_its_own():
  kept = kept_steps("10,15,20", 300).tolist()
  for section, count in enumerate([10, 15, 20]):
    start = 100 * section
    expected = [start + round(i * 99 / (count - 1)) for i in range(count)]
    assert [k for k in kept if start <= k < start + 100] == expected
  assert len(kept) == 45


def test_uneven_sections_make_the_first_ones_longer():
  # 11 = 4 + 4 + 3 steps; two kept of each are its ends.
  assert kept_steps("2, 2, 2", 11).tolist() == [0, 3, 4, 7, 8, 10]
  # One step of a section is its first.
  assert kept_steps("1,1,1", 11).tolist() == [0, 4, 8]
  assert kept_steps("4,4,3", 11).tolist() == list(range(11))


def test_every_possible_number_of_steps_is_kept_once_each():
  for steps in (21, 1000):
    for count in range(2, steps + 1):
      kept = kept_steps(str(count), steps)
      assert len(kept) == count and (np.diff(kept) > 0).all()
      assert (kept[0], kept[-1]) == (0, steps - 1)


@pytest.mark.parametrize(
  ("text", "steps", "words"),
  [
    ("2000", 1000, "'2000' asks for 2000 steps, but the process has 1000"),
    ("ddim2000", 1000, "asks for 2000 steps, but the process has 1000"),
    ("ddim600", 1000, "exactly 600 of 1000 steps"),
    ("40,10", 60, "40 steps in section 1, which has 30 of the process's 60"),
    ("4,3,4", 11, "4 steps in section 3, which has 3"),
    ("1", 1000, "at least 2 of the 1000 steps"),
    ("ddim1", 1000, "at least 2"),
    *[
      (text, 1000, "must be empty, a number of steps")
      for text in (
        "fifty",
        "0",
        "-5",
        "10,,5",
        "ddim",
        "ddim10,5",
        "1.5",
        "²",
        "9" * 9999,
      )
    ],
  ],
)
def test_impossible_respacings_are_refused(text, steps, words):
  with pytest.raises(errors.UserError, match=r"^sampler\.respacing") as error:
    kept_steps(text, steps)
  assert words in str(error.value)
