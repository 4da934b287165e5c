"""Notebooks from their percent-format sources, and back to code for tests.

  python -m colabs.build

writes colabs/NAME.ipynb for every colabs/NAME.py that begins with a cell. A
line `# %%` begins a code cell, `# %% [markdown]` one of text, whose lines are
comments. The badge is put below the title. The repository's address is the
`repository-code` of CITATION.cff, which also fills `REPOSITORY = ""`; without
one the badge leads to where Colab asks for a repository.
"""

import json
import pathlib
import re
import sys
from collections.abc import Sequence
from typing import Any

from absl import flags

from experiments.publishing import address as address_of
from pseudovideo.terminal import command_line

FOLDER = pathlib.Path(__file__).parent
CODE, MARKDOWN = "# %%", "# %% [markdown]"
UNSET = 'REPOSITORY = ""'
METADATA = {
  "accelerator": "GPU",
  "colab": {"provenance": []},
  "kernelspec": {"display_name": "Python 3", "name": "python3"},
  "language_info": {"name": "python"},
}


def sources() -> list[pathlib.Path]:
  """The sources, by name."""
  files = sorted(FOLDER.glob("*.py"))
  return [path for path in files if path.read_text().startswith(CODE)]


def cells(text: str) -> list[tuple[str, str]]:
  """`code` or `markdown`, and the text, of every cell of a source.

  Raises:
    ValueError: text before the first cell, or a line of markdown that is no
      comment.
  """
  before, *parts = re.split(r"^(# %%.*)\n", text, flags=re.MULTILINE)
  if before.strip():
    raise ValueError(f"A source begins with a cell; got {before[:40]!r}.")
  found = []
  for mark, body in zip(parts[::2], parts[1::2], strict=True):
    body = body.strip("\n")
    if mark == MARKDOWN:
      found.append(("markdown", _uncommented(body)))
    elif mark == CODE:
      found.append(("code", body))
    else:
      raise ValueError(f"A cell begins with {CODE} or {MARKDOWN}; got {mark}.")
  return found


def _uncommented(body: str) -> str:
  lines = body.splitlines()
  for line in lines:
    if line != "#" and not line.startswith("# "):
      raise ValueError(f"A line of markdown is a comment; got {line!r}.")
  return "\n".join(line[2:] for line in lines)


def badge(name: str, address: str) -> str:
  """Markdown that opens a notebook in Colab.

  Args:
    name: name of the notebook.
    address: address of the repository; if it is not on GitHub, Colab asks for
      one.
  """
  link = address_of.colab(name, address)
  return (
    f"[![Open in Colab]({address_of.COLAB}/assets/colab-badge.svg)]({link})"
  )


def notebook(name: str, text: str, address: str) -> dict[str, Any]:
  """The notebook (nbformat 4.5), without outputs.

  Args:
    name: name of its file, without an ending.
    text: its source; the first cell is markdown and begins with a title.
    address: address of the repository, or empty.
  """
  made = []
  for number, (kind, body) in enumerate(cells(text)):
    if number == 0:
      title, _, rest = body.partition("\n")
      body = f"{title}\n\n{badge(name, address)}\n{rest}"
    body = body.replace(UNSET, f'REPOSITORY = "{address}"')
    cell = {"cell_type": kind, "id": f"{name}-{number}", "metadata": {}}
    if kind == "code":
      cell |= {"execution_count": None, "outputs": []}
    made.append(cell | {"source": body.splitlines(keepends=True)})
  return {
    "cells": made,
    "metadata": METADATA,
    "nbformat": 4,
    "nbformat_minor": 5,
  }


def generated(path: pathlib.Path) -> str:
  """The text of the notebook that a source makes."""
  made = notebook(path.stem, path.read_text(), address_of.of_checkout())
  return json.dumps(made, indent=1, ensure_ascii=False) + "\n"


def run(argv: Sequence[str]) -> int:
  """Writes all notebooks; returns the exit code."""
  command_line.parse_flags(argv, flags.FlagValues())
  for path in sources():
    path.with_suffix(".ipynb").write_text(generated(path))
    print(path.with_suffix(".ipynb").relative_to(FOLDER.parent))
  return 0


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return command_line.answer(run, argv, __doc__, flags.FlagValues())


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
