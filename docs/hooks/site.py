"""Steps of `make docs`: pages from outside docs/, links, and formulas.

README.md becomes the first page, results/ and some files beside it become part
of the site, and links to them work in the site as they do in the repository.
Formulas become MathML, which browsers draw without any script.
"""

import html
import pathlib
import re
from typing import Any

from latex2mathml import converter
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = pathlib.Path(__file__).parents[2]
BESIDE = ("CONTRIBUTING.md", "CHANGELOG.md", "CITATION.cff", "LICENSE")
RESULTS = (".json", ".jsonl", ".md", ".png")
_LINK = re.compile(r"(\]\(|src=\")([^)\"#:]+)")
_FORMULA = re.compile(
  r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', flags=re.S
)


def on_files(files: Files, config: Any) -> Files:
  """Adds README.md as the first page, files beside it, and results/."""
  added = [ROOT / name for name in BESIDE]
  added += [
    path
    for path in sorted((ROOT / "results").rglob("*"))
    if path.suffix in RESULTS
  ]
  added += sorted((ROOT / "colabs").glob("*.ipynb"))
  for path in added:
    name = path.relative_to(ROOT).as_posix()
    files.append(File.generated(config, name, abs_src_path=str(path)))
  readme = (ROOT / "README.md").read_text()
  files.append(File.generated(config, "index.md", content=readme))
  return files


def on_page_markdown(
  markdown: str, page: Page, config: Any, files: Files
) -> str:
  """Rewrites links of the repository as links of the site."""
  del config, files
  source = page.file.src_uri
  # Where the text lies in the repository.
  at_root = ("results/", *BESIDE)
  outside = source == "index.md" or source.startswith(at_root)
  folder = pathlib.PurePosixPath("" if outside else "docs", source).parent
  return _LINK.sub(
    lambda match: match.group(1) + linked(match.group(2), folder, source),
    markdown,
  )


def linked(link: str, folder: pathlib.PurePosixPath, source: str) -> str:
  """A link of the repository as one of the site.

  Args:
    link: path relative to the file that holds it.
    folder: folder of that file in the repository.
    source: name of its page in the site.
  """
  parts: list[str] = []
  for part in (*folder.parts, *pathlib.PurePosixPath(link).parts):
    if part == "..":
      if not parts:
        return link
      parts.pop()
    else:
      parts.append(part)
  if parts == ["README.md"]:
    parts = ["index.md"]
  elif parts[:1] == ["docs"]:
    parts = parts[1:]
  up = [".."] * (len(pathlib.PurePosixPath(source).parts) - 1)
  return "/".join(up + parts)


def on_page_content(content: str, page: Page, config: Any, files: Files) -> str:
  """Replaces formulas by MathML."""
  del page, config, files
  return _FORMULA.sub(_mathml, content)


def _mathml(match: re.Match[str]) -> str:
  display = "block" if match.group(1) == "div" else "inline"
  return converter.convert(html.unescape(match.group(2)), display=display)
