"""Tables of pages whose files are damaged: left as they are, or left out."""

import json
import pathlib
import random

import pytest

from experiments.publishing import claims, pages
from pseudovideo import errors
from pseudovideo.runs import results


@pytest.mark.parametrize("content", [None, {}, [], 3, {"values": {"a": {}}}])
def test_pages_keep_the_tables_that_cannot_be_made(
  monkeypatch, capsys, content
):
  def read(path):
    if content is None:
      raise errors.UserError(f"{path} is damaged.")
    return content

  monkeypatch.setattr(results, "read_json", read)
  for path in pages.marked():
    assert pages.filled(path).count("<!-- end -->") == (
      path.read_text().count("<!-- end -->")
    )
  assert "left out" in capsys.readouterr().err
  assert claims.table().lines == []


@pytest.mark.parametrize("seed", range(6))
def test_one_damaged_file_costs_what_is_made_of_it(monkeypatch, seed):
  """Any number or text of a file becomes something else."""
  rng = random.Random(seed)
  victim = rng.choice(sorted((pages.ROOT / "results").rglob("*.json")))
  real = results.read_json

  def read(path):
    found = real(path)
    if pathlib.Path(path) == victim:
      found = json.loads(json.dumps(found), object_hook=_damage)
    return found

  def _damage(found):
    if found and rng.random() < 0.2:
      found[rng.choice(list(found))] = rng.choice([None, "x", [], {}, -1e99])
    return found

  monkeypatch.setattr(results, "read_json", read)
  for name, make in pages.TABLES.items():
    pages._made(name, make)
