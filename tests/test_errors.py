"""The errors that are printed as sentences."""

import pytest

from pseudovideo import errors

COLOURS = {"red": 1, "green": 2, "blue": 3}


def test_a_known_name_is_looked_up():
  assert errors.look_up("colour", "green", COLOURS) == 2


def test_an_unknown_name_lists_the_choices_in_order():
  with pytest.raises(errors.UserError) as caught:
    errors.look_up("colour", "purple", COLOURS)
  assert str(caught.value) == (
    "There is no colour named 'purple'. Choose one of: blue, green, red."
  )


@pytest.mark.parametrize("name", ["gren", "greene", "Green"])
def test_a_misspelt_name_gets_a_suggestion(name):
  with pytest.raises(errors.UserError, match=r"did you mean 'green'\?"):
    errors.look_up("colour", name, COLOURS)


def test_what_a_user_can_fix_and_what_not_are_apart():
  assert issubclass(errors.UserError, ValueError)
  assert not issubclass(errors.RunError, errors.UserError)
