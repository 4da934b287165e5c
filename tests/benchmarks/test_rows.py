import json
import math

import pytest

from benchmarks import rows
from pseudovideo import errors


def parsed(*argv):
  values = rows.define_flags("abc", 5, {"width": (2, "Of it.")})
  least = {"repeats": 1, "width": 0}
  return values, rows.chosen(argv, values, dict(a=1, b=4, c=9), least)


def test_the_rows_that_are_named_are_measured_in_that_order(tmp_path, capsys):
  path = tmp_path / "found.json"
  values, chosen = parsed("--rows=c,a", "--width=0", f"--out={path}")
  table = rows.measured(chosen, lambda row: {"root": math.sqrt(row)})
  rows.write(values, table, width=values.width)
  record = json.loads(path.read_text())
  assert list(record) == ["values", "repeats", "width", "provenance"]
  assert list(record["values"].items()) == [
    ("c", {"root": 3.0}),
    ("a", {"root": 1.0}),
  ]
  assert (record["repeats"], record["width"]) == (5, 0)
  printed = capsys.readouterr().out.split()
  assert printed[-6:] == ["c", "root", "3", "a", "root", "1"]


def test_all_rows_by_default_and_no_file():
  values, chosen = parsed()
  assert chosen == dict(a=1, b=4, c=9)
  rows.write(values, {})


def test_a_mistake_is_one_sentence():
  for flag, sentence in [
    ("--rows=a,d", "no --rows named 'd'"),
    ("--width=-1", "--width must be at least 0; got -1."),
    ("--repeats=0", "--repeats must be at least 1; got 0."),
    ("--config=configs/hvae.py", "takes no config"),
  ]:
    with pytest.raises(errors.UserError, match=sentence):
      parsed(flag)
