"""The repository's address, and what is made of it: badges and links.

It is the field `repository-code` of CITATION.cff, and stands nowhere else.
While there is none, badges are left out.
"""

import pathlib
import re

from experiments.publishing.sheets import Sheet

ROOT = pathlib.Path(__file__).parents[2]
GITHUB = "https://github.com/"
COLAB = "https://colab.research.google.com"
NOTEBOOKS = {
  "pseudo_videos": (
    "the data, every corruption as film strips, what earlier frames tell"
  ),
  "train_and_sample": (
    "one run on a GPU or TPU, with checkpoints on Drive, that resumes after a "
    "disconnect"
  ),
  "reproduce_table": "rows of a table, the table, and the page of all tables",
  "your_own_pseudo_video": (
    "write a corruption, probe it, train it, see its row"
  ),
}


def repository(citation: str) -> str:
  """The address in the text of CITATION.cff; empty if there is none."""
  found = re.search(
    r"^repository-code: *[\"']?([^\"'\s]+)", citation, re.MULTILINE
  )
  return found.group(1).removesuffix("/") if found else ""


def of_checkout() -> str:
  """The address in this checkout's CITATION.cff."""
  return repository((ROOT / "CITATION.cff").read_text())


def colab(name: str, address: str) -> str:
  """The link that opens a notebook in Colab.

  Args:
    name: name of the notebook.
    address: address of the repository; if it is not on GitHub, Colab asks for
      one.
  """
  link = f"{COLAB}/github"
  if not address.startswith(GITHUB):
    return link
  return f"{link}/{_place(address)}/blob/main/colabs/{name}.ipynb"


def badges(address: str) -> str:
  """Badges of tests and documentation, in Markdown; none off GitHub."""
  if not address.startswith(GITHUB):
    return ""
  owner, _, name = _place(address).partition("/")
  tests = f"{address}/actions/workflows/tests.yml"
  docs = f"{address}/actions/workflows/docs.yml"
  return (
    f"[![tests]({tests}/badge.svg)]({tests}) "
    f"[![docs]({docs}/badge.svg)](https://{owner}.github.io/{name}/)"
  )


def notebooks(address: str) -> Sheet:
  """The notebooks, and links that open them in Colab."""
  return Sheet(
    "Notebooks",
    ["notebook", "what", ""],
    [
      [
        f"[{name}](colabs/{name}.ipynb)",
        what,
        f"[Open in Colab]({colab(name, address)})",
      ]
      for name, what in NOTEBOOKS.items()
    ],
  )


def _place(address: str) -> str:
  """OWNER/NAME of an address on GitHub."""
  return address.removeprefix(GITHUB).removesuffix(".git")


TABLES = {"notebooks": lambda: notebooks(of_checkout())}
