"""What notebooks show, with IPython and without."""

import sys
import types

import numpy as np
import pytest

from experiments.reporting import notebook
from pseudovideo.report import page

TABLE = (["", "score"], [["a row", "1.5"]])


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)


def show_all():
  notebook.picture("grey", np.zeros((2, 2, 1), np.uint8))
  notebook.table(*TABLE)
  notebook.show_page(page.Report('a "title"'), "page.html")


def test_without_a_notebook_files_and_text(tmp_path, capsys, monkeypatch):
  monkeypatch.delitem(sys.modules, "IPython", raising=False)
  show_all()
  said = capsys.readouterr().out.split()
  assert said == ["grey.png", "score", "a", "row", "1.5", "page.html"]
  assert (tmp_path / "grey.png").exists() and (tmp_path / "page.html").exists()


def test_in_a_notebook_they_are_shown(monkeypatch):
  shown = []
  kinds = ("Image", "Markdown", "HTML")
  fake = types.SimpleNamespace(
    display=shown.append,
    **{kind: lambda content, kind=kind: (kind, content) for kind in kinds},
  )
  module = types.SimpleNamespace(display=fake)
  monkeypatch.setitem(sys.modules, "IPython", module)
  monkeypatch.setitem(sys.modules, "IPython.display", fake)
  show_all()
  assert [kind for kind, _ in shown] == list(kinds)
  (_, image), (_, table), (_, frame) = shown
  assert image == "grey.png" and "| a row | 1.5 |" in table
  # The page is whole inside an attribute.
  assert frame.count('"') == 6 and "&lt;!DOCTYPE html&gt;" in frame
