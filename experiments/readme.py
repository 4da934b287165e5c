"""Writes the tables of README.md from the files in results/.

  python -m experiments.readme

Each table stands between `<!-- table: NAME -->` and `<!-- end -->`.
"""

import pathlib
import re

from experiments import tables
from pseudovideo import results

ROOT = pathlib.Path(__file__).parents[1]

# Name of a table -> label of each row -> its file below results/.
TABLES = {
  "demo": {
    "pseudo-video encoder": "demo/heat.json",
    "free encoder": "demo/learned.json",
  },
  "hvae_cifar10": {
    "heat equation, sigma_h 0.05": "hvae_cifar10/heat_sigma_h_0.05.json",
    "heat equation, sigma_h 0.1": "hvae_cifar10/heat_sigma_h_0.1.json",
    "free encoder": "hvae_cifar10/learned.json",
  },
}


def table(name: str) -> str:
  """One table as Markdown."""
  records = {
    label: results.read(ROOT / "results" / file)
    for label, file in TABLES[name].items()
  }
  return tables.as_markdown(*tables.score_table(records))


def filled(text: str) -> str:
  """The text with every table between its marks."""

  def fill(match: re.Match) -> str:
    mark = f"<!-- table: {match.group(1)} -->"
    return f"{mark}\n\n{table(match.group(1))}\n\n<!-- end -->"

  return re.sub(r"<!-- table: (\w+) -->.*?<!-- end -->", fill, text, flags=re.S)


if __name__ == "__main__":
  readme = ROOT / "README.md"
  readme.write_text(filled(readme.read_text()))
