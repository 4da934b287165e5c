"""What README and docs/ say: their tables, commands, links and sizes."""

import pathlib
import re
import shlex

import pytest

from experiments import __main__ as front
from experiments import registry
from experiments.publishing import address, pages, sheets
from experiments.reporting import tables
from pseudovideo import augmentations, main
from pseudovideo.commands import score as metrics_command
from pseudovideo.config import parsing
from pseudovideo.metrics import pair_metrics, set_metrics
from pseudovideo.terminal import command_line

ROOT = pages.ROOT
PAGES = [*pages.marked(), ROOT / "CONTRIBUTING.md"]
FENCED = re.compile(r"```(\w*)\n(.*?)```", flags=re.S)
LINK = re.compile(r"\]\(([^)]+)\)")


def named(path):
  return path.relative_to(ROOT).as_posix()


def commands(text):
  """Every command in the blocks and between the words of a page."""
  blocks = [block for language, block in FENCED.findall(text) if not language]
  lines = [
    line.split(" # ")[0].strip()
    for block in blocks
    for line in block.replace("\\\n", " ").splitlines()
    if line.startswith(("python ", "make ", "srun ", "gcloud "))
  ]
  inline = re.findall(r"`(python\s[^`]+)`", FENCED.sub("", text))
  return lines + [" ".join(command.split()) for command in inline]


COMMANDS = [c for path in PAGES for c in commands(path.read_text())]


def test_files_are_what_the_results_make_of_them():
  drifted = [
    named(path)
    for path, text in pages.generated().items()
    if path.read_text() != text
  ]
  assert not drifted, "run python -m experiments.readme"


def test_every_table_stands_in_a_page():
  text = "".join(path.read_text() for path in pages.marked())
  marks = re.findall(r"<!-- table: (\w+) -->", text)
  assert {*pages.TABLES} - {*marks} <= {"metrics_cost"}


@pytest.mark.parametrize("path", pages.marked(), ids=named)
def test_tables_of_pages_are_narrow(path):
  text = re.sub(r"\\\|", "", path.read_text())
  wide = [
    line
    for line in text.splitlines()
    if line.startswith("| ") and line.count("|") - 1 > sheets.PAGE_COLUMNS
  ]
  assert not wide


def test_labels_are_short():
  labels = {
    row.label + " †" * row.is_control
    for table in registry.tables().values()
    for row in table.rows
  }
  assert not [label for label in labels if len(label) >= 30]


def test_the_front_page_is_short():
  text = (ROOT / "README.md").read_text()
  prose = [
    line
    for line in FENCED.sub("", text).splitlines()
    if not line.startswith("|")
  ]
  assert len(text.splitlines()) <= 200
  assert len(" ".join(prose).split()) <= 1300


def test_every_metric_is_explained():
  text = (ROOT / "docs" / "metrics.md").read_text()
  names = re.findall(r"^\| (`.*?) \|", text, flags=re.M)
  names = set(re.findall(r"`([^`]+)`", " ".join(names)))
  own = {kind.replace("FD", "FID") for kind in set_metrics.METRICS}
  assert own | pair_metrics.METRICS.keys() <= names


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_files_that_are_linked_exist(path):
  """`make docs` checks anchors too."""
  for link in LINK.findall(FENCED.sub("", path.read_text())):
    file = link.partition("#")[0]
    if file and not link.startswith(("https://", "http://")):
      assert (path.parent / file).exists(), link


def check(command):
  """Raises if any part of the command is not what there is."""
  program, *arguments = shlex.split(command)
  if program == "gcloud":
    # What it runs on every host.
    (told,) = (a for a in arguments if a.startswith("--command=cd "))
    program, *arguments = shlex.split(told.partition("&&")[2])
  if program == "srun":
    # Its flags, then the command.
    start = arguments.index("python")
    assert all(flag.startswith("--") for flag in arguments[:start])
    program, *arguments = arguments[start:]
  if program == "make":
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(rf"^{arguments[0]}:", makefile, flags=re.M)
    return
  assert (program, arguments[0]) == ("python", "-m")
  module = pathlib.Path(ROOT, *arguments[1].split("."))
  assert any(
    file.exists()
    for file in (module.with_suffix(".py"), module / "__main__.py")
  )
  if arguments[1] == "experiments":
    verb, *rest = arguments[2:]
    assert verb in (*front.VERBS, "initial")
    if rest and not rest[0].startswith("-"):
      assert rest[0] in (*registry.NAMES, "NAME")
  if arguments[1] == "pseudovideo.main":
    config = command_line.parse(arguments[2:], main.define_flags())
    if config is not None:
      parsing.parse(config)
  if arguments[1] == "pseudovideo.metrics":
    values = metrics_command.define_flags()
    assert command_line.parse(arguments[2:], values) is None
    metrics_command.kinds_of(values)
    metrics_command.number_of(values.samples)


@pytest.mark.parametrize("command", sorted(set(COMMANDS)))
def test_commands_are_understood(command, tmp_path, monkeypatch):
  # The config file that README and docs/extending.md write.
  (block,) = re.findall(
    r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S
  )
  (tmp_path / "fade.py").write_text(block)
  monkeypatch.setitem(augmentations.TABLE, "fade", None)
  check(command.replace("=fade.py", f"={tmp_path}/fade.py"))


def test_every_kind_of_command_is_there():
  text = "\n".join(COMMANDS)
  for words in ("make demo", "make test", "make docs", "mode=train",
                "mode=sample", "mode=evaluate", "data.prepare",
                "benchmarks.train_step", "experiments run table3",
                "pseudovideo.convert", "pseudovideo.probe",
                "pseudovideo.likelihood", "pseudovideo.metrics"):  # fmt: skip
    assert words in text


def test_badges_and_links_follow_the_address():
  assert address.repository("repository-code: https://github.com/a/b/\n") == (
    "https://github.com/a/b"
  )
  made_up = "https://github.com/OWNER/REPO"
  assert made_up in address.badges(made_up)
  assert "owner.github.io" not in address.badges("https://example.org/x")
  for name, what in address.NOTEBOOKS.items():
    assert (ROOT / "colabs" / f"{name}.ipynb").exists() and what
    assert f"OWNER/REPO/blob/main/colabs/{name}.ipynb" in address.colab(
      name, made_up
    )
  assert address.badges("") == ""


def test_notes_of_a_page_stand_once(tmp_path, monkeypatch):
  made = sheets.Sheet(
    "t", ["", "a", "b"], [["x", "1", tables.NOTHING]], notes=["Note."]
  )
  monkeypatch.setattr(
    pages, "TABLES", {"one": lambda: made, "two": lambda: made}
  )
  page = tmp_path / "page.md"
  page.write_text(
    "<!-- table: one --><!-- end -->\n<!-- table: two --><!-- end -->"
  )
  text = pages.filled(page)
  assert text.count("Note.") == 1 and text.count("| x | 1 |") == 2
  assert "| b |" not in text, "a column of dashes"
