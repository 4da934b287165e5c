"""What is known of data sets before they are read."""

import pytest

from pseudovideo import data, errors
from pseudovideo.data import named


def test_the_table_says_what_is_read():
  facts, digits = named.facts("digits"), data.load("digits")
  assert facts.image_shape == digits.image_shape
  assert facts.classes == digits.num_classes
  assert facts.frames is None


def test_every_name_has_facts():
  assert set(data.FACTS) == set(data.SETS) - {"folder"}


@pytest.mark.parametrize(
  ("name", "facts"),
  [
    ("folder:some/where?size=8", named.Facts((8, 8, 3))),
    ("folder:some/where", named.UNKNOWN),
    ("videos:x?size=16&frames=9", named.Facts((16, 16, 3), frames=9)),
    ("somebody's", named.UNKNOWN),
  ],
)
def test_a_name_may_say_its_facts(name, facts):
  assert named.facts(name) == facts
  assert data.clip_frames(name) == facts.frames


def test_names_that_are_written_wrong():
  for name in ("folder:x?size=0", "videos:x?size=8", "videos:x"):
    with pytest.raises(errors.UserError):
      named.facts(name)


def test_a_users_set_brings_its_facts(monkeypatch):
  own = data.Facts((16, 16, 1), classes=3)
  monkeypatch.setitem(data.FACTS, "mine", own)
  assert named.facts("mine") is own
