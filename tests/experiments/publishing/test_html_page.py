"""The page of all tables."""

import pathlib
import re

import numpy as np
import pytest

from experiments import __main__ as front
from experiments import registry
from experiments.paper import table3, table5
from experiments.publishing import html_page
from experiments.rows import base
from pseudovideo.evaluation import evaluate
from pseudovideo.report import drawing
from pseudovideo.runs import results


def job(name, dataset="digits", seed=0):
  (row,) = table3.TABLE.chosen([name])
  return base.Job(row, dataset, "tiny", seed)


def sections(text):
  """Heading -> the HTML below it."""
  parts = re.split(r"<h2[^>]*>(.*?)</h2>", text)
  return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.fixture(name="published")
def _published(tmp_path, make_record):
  for number, one in enumerate(
    [job("one_frame"), job("one_frame", seed=1), job("high_order_4")]
  ):
    record = make_record(one, value=1.0 + number)
    results.write(one.published(tmp_path, "diffusion"), record)
  other = job("one_frame", "folder:a")
  results.write(other.published(tmp_path, "diffusion"), make_record(other, 9.0))
  picture = np.full((4, 5, 3), 77, np.uint8)
  drawing.save_png(tmp_path / "diffusion/digits-tiny/figure7.png", picture)
  # Of something else.
  (tmp_path / "diffusion/digits-tuning").mkdir()
  (tmp_path / "diffusion/digits-tuning/one_frame-seed0.json").write_text("{}")
  return tmp_path


def test_published_results_make_a_page(published, capsys):
  out = published / "page.html"
  argv = ["report", f"--results={published}", f"--out={out}"]
  assert front.main(argv) == 0
  assert capsys.readouterr().out == f"{out}\n"
  text = out.read_text()
  found = sections(text)
  own = found[table3.TABLE.title]
  cells = re.findall(r"<td[^>]*>(.*?)</td>", own)
  # The paper's score, ours over two seeds, and a row that was not run.
  assert "12.90" in cells and "1.500 ± 0.707" in cells and "3.000" in cells
  assert "8 frames, high order" not in cells
  left = re.findall(r"Not run: (.*?)</figcaption>", own)[0]
  assert "8 frames, high order" in left and "4 frames, high order" not in left
  assert "python -m experiments run table3" in own
  assert table5.TABLE.title in found, "they share rows"
  assert found["Pictures"].count("<img") == 1
  assert "table1" in found["Not run"] and "table3" not in found["Not run"]
  assert "href=" not in own, "published results have no run beside them"


def test_one_table_makes_a_page_too(published, capsys):
  out = published / "one.html"
  argv = [f"--results={published}", f"--out={out}", "--format=html"]
  assert front.main(["report", "table3", *argv]) == 0
  found = sections(out.read_text())
  assert list(found) == [table3.TABLE.title, "Pictures"]
  assert front.main(["report", "table1", *argv]) == 2
  assert "no results of table1 in" in capsys.readouterr().err
  assert front.main(["report", "--tables=tabel3", *argv]) == 2
  assert "did you mean 'table3'" in capsys.readouterr().err


@pytest.mark.parametrize("style", ["md", "csv", "text"])
def test_all_tables_can_be_printed(published, capsys, style):
  argv = ["report", f"--results={published}", f"--format={style}"]
  assert front.main(argv) == 0
  said = capsys.readouterr().out
  for table in (table3.TABLE, table5.TABLE):
    assert table.title in said
    assert table.chosen(["high_order_4"])[0].label in said
  assert ("| 1 frame | 12.90 |" in said) == (style == "md")
  assert ("1 frame,12.90," in said) == (style == "csv")


def test_runs_are_linked(tmp_path, write_finished):
  one = job("one_frame")
  write_finished(one, tmp_path / "my runs")
  (one.workdir(tmp_path / "my runs") / "report.html").touch()
  out = tmp_path / "page.html"
  place = html_page.Place(tmp_path / "my runs", False)
  html_page.build(place, out).write(out)
  own = sections(out.read_text())[table3.TABLE.title]
  (link,) = re.findall(r'href="(.*?)">1 frame, seed 0<', own)
  assert link == "my%20runs/digits-tiny/one_frame-seed0/report.html"


@pytest.mark.parametrize("damage", ["{", "[]", "", "\0", "9" * 5000])
def test_damaged_files_are_named_and_left_out(published, capsys, damage):
  path = job("one_frame").published(published, "diffusion")
  picture = path.parent / "broken.png"
  path.write_text(damage)
  picture.write_text(damage)
  out = published / "x.html"
  argv = ["report", f"--results={published}", f"--out={out}"]
  assert front.main(argv) == 0
  said = capsys.readouterr().err
  assert str(path) in said and str(picture) in said
  text = out.read_text()
  assert "2.000" in text and "1.500" not in text and "figure7.png" in text


def test_the_committed_results_fill_every_table_that_the_readme_has():
  root = pathlib.Path(__file__).parents[3]
  text = html_page.build(html_page.Place(root / "results", True), root).render()
  readme = (root / "README.md").read_text()
  for name, table in registry.tables().items():
    if f"<!-- table: {name} -->" in readme:
      assert f">{table.title}</h2>" in text
  assert evaluate.RESULTS_FILE not in text
