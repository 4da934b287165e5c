"""What README says: its tables, its commands, its links."""

import pathlib
import re
import shlex

import pytest

from experiments import readme
from pseudovideo import command_line, configuration, main

ROOT = readme.ROOT
TEXT = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```\n(.*?)```", TEXT, flags=re.S)
INLINE = re.findall(r"`(python\s[^`]+)`", TEXT)
COMMANDS = [
  line.split("#")[0].strip()
  for block in BLOCKS
  for line in block.replace("\\\n", " ").splitlines()
  if line and not line.startswith("source ")
] + [" ".join(command.split()) for command in INLINE]


def test_tables_are_those_of_the_results():
  assert readme.filled(TEXT) == TEXT, "run python -m experiments.readme"
  marks = set(re.findall(r"<!-- table: (\w+) -->", TEXT))
  assert marks == {*readme.TABLES, *readme.OTHERS}


def test_files_that_are_linked_exist():
  links = re.findall(r"\]\(([^)#]+)\)", TEXT)
  assert "CITATION.cff" in links
  for link in links:
    assert (ROOT / link).exists(), link


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_are_understood(command):
  program, *arguments = shlex.split(command)
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
  if arguments[1] == "pseudovideo.main":
    config = command_line.parse(arguments[2:], main.define_flags())
    if config is not None:
      configuration.parse(config)


def test_every_kind_of_command_is_there():
  text = "\n".join(COMMANDS)
  for words in ("make demo", "make test", "mode=train", "mode=sample",
                "mode=evaluate", "experiments.show_augmentations",
                "data.prepare", "benchmarks.train_step", "experiments.table3",
                "pseudovideo.convert", "pseudovideo.likelihood"):  # fmt: skip
    assert words in text
