import copy

import pytest

from experiments.reporting import tables
from pseudovideo import errors


def record(value, weights="a"):
  """The part of a results file that the table reads."""

  def row(number, images):
    return {
      "FD-x": {
        "value": number,
        "num_samples": images,
        "feature_network": {"name": "x", "weights_hash": weights},
      }
    }

  return {
    "metrics": {"generated": row(value, 1000), "real": row(0.5, 360)},
    "num_parameters": 12345,
    "step": 2000,
    "images_seen": 128000,
    "wall_seconds": {"train": 61.4},
  }


def test_columns_are_aligned():
  text = tables.as_text(
    ["", "a", "bb"], [["first", "1", "2"], ["x", "333", ""]]
  )
  assert text.splitlines() == [
    "         a  bb",
    "first    1   2",
    "x      333",
  ]


def test_every_record_is_a_row_and_held_out_data_the_last():
  header, rows = tables.score_table({"one": record(3.0), "two": record(4.25)})
  assert header[1:3] == ["FD-x", "images"]
  assert rows == [
    ["one", "3.000", "1,000", "12,345", "2,000", "128,000", "61"],
    ["two", "4.250", "1,000", "12,345", "2,000", "128,000", "61"],
    ["held-out data", "0.500", "360", *[tables.NOTHING] * 4],
  ]


def test_rows_of_different_networks_are_not_compared():
  other = copy.deepcopy(record(4.0, weights="b"))
  with pytest.raises(errors.UserError, match="one, two were scored by diff"):
    tables.score_table({"one": record(3.0), "two": other})


def test_markdown_has_a_rule_below_the_header():
  text = tables.as_markdown(["", "a"], [["x", "1"]])
  assert text.splitlines() == ["|  | a |", "| --- | ---: |", "| x | 1 |"]
