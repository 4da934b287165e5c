"""What README says: its tables, its commands, its links."""

import pathlib
import re
import shlex

from experiments import __main__ as front
from experiments import registry
from experiments.publishing import readme, studies
from pseudovideo import main
from pseudovideo.commands import score as metrics_command
from pseudovideo.config import parsing
from pseudovideo.metrics import pair_metrics, set_metrics
from pseudovideo.terminal import command_line

ROOT = readme.ROOT
TEXT = (ROOT / "README.md").read_text()
FENCED = re.compile(r"```(\w*)\n(.*?)```", flags=re.S)
BLOCKS = [block for language, block in FENCED.findall(TEXT) if not language]
INLINE = re.findall(r"`(python\s[^`]+)`", FENCED.sub("", TEXT))
COMMANDS = [
  line.split("#")[0].strip()
  for block in BLOCKS
  for line in block.replace("\\\n", " ").splitlines()
  if line and not line.startswith(("source ", "#"))
] + [" ".join(command.split()) for command in INLINE]


def test_tables_are_those_of_the_results():
  assert readme.fill_tables(TEXT) == TEXT, "run python -m experiments.readme"
  marks = set(re.findall(r"<!-- table: (\w+) -->", TEXT))
  assert marks == {*readme.TABLES, *studies.TABLES}


def test_every_metric_is_explained():
  names = re.findall(r"^\| (`.*?) \|", TEXT, flags=re.M)
  names = set(re.findall(r"`([^`]+)`", " ".join(names)))
  own = {kind.replace("FD", "FID") for kind in set_metrics.METRICS}
  assert own | pair_metrics.METRICS.keys() <= names


def test_files_that_are_linked_exist():
  links = re.findall(r"\]\(([^)#]+)\)", TEXT)
  assert "CITATION.cff" in links
  headings = re.findall(r"^#+ (.+)$", TEXT, flags=re.M)
  anchors = {heading.lower().replace(" ", "-") for heading in headings}
  assert set(re.findall(r"\]\(#([^)]+)\)", TEXT)) <= anchors
  for link in links:
    if link.startswith("https://"):
      continue
    assert (ROOT / link).exists(), link


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


def test_commands_are_understood():
  wrong = []
  for command in COMMANDS:
    try:
      check(command)
    except Exception as error:
      wrong.append((command, error))
  assert not wrong


def test_every_kind_of_command_is_there():
  text = "\n".join(COMMANDS)
  for words in ("make demo", "make test", "mode=train", "mode=sample",
                "mode=evaluate", "experiments.show_augmentations",
                "data.prepare", "benchmarks.train_step",
                "experiments run table3", "pseudovideo.convert",
                "pseudovideo.likelihood", "pseudovideo.metrics"):  # fmt: skip
    assert words in text
