import base64
import html.parser
import io

import numpy as np
import pytest
from PIL import Image

from pseudovideo import report
from pseudovideo.report import drawing

VOID = {"meta", "img", "br", "link", "input", "hr"}
EVIL = "<script>alert(\"1\")</script> & 'quoted'"


class Page(html.parser.HTMLParser):
  """Checks that tags are balanced, and collects what they hold."""

  def __init__(self, text: str):
    super().__init__()
    self.open, self.tags, self.texts = [], [], []
    self.feed(text)
    self.close()
    assert self.open == []

  def handle_starttag(self, tag, attributes):
    self.tags.append((tag, dict(attributes)))
    if tag not in VOID:
      self.open.append(tag)

  def handle_startendtag(self, tag, attributes):
    self.tags.append((tag, dict(attributes)))

  def handle_endtag(self, tag):
    assert self.open.pop() == tag

  def handle_data(self, data):
    self.texts.append((self.open[-1] if self.open else None, data))

  def all(self, tag: str) -> list[dict]:
    return [attributes for name, attributes in self.tags if name == tag]

  def text(self, tag: str) -> list[str]:
    return [text for name, text in self.texts if name == tag]

  def pictures(self) -> list[np.ndarray]:
    kind = "data:image/png;base64,"
    sources = [img["src"] for img in self.all("img")]
    assert all(source.startswith(kind) for source in sources)
    return [
      np.asarray(Image.open(io.BytesIO(base64.b64decode(s[len(kind) :]))))
      for s in sources
    ]


def noise(*shape: int) -> np.ndarray:
  return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


@pytest.fixture
def full() -> report.Report:
  """Every kind of piece, with hostile texts wherever there is a text."""
  page = report.Report(EVIL, EVIL)
  page.section(EVIL, EVIL)
  page.table([EVIL, "value"], [[EVIL, 1.5], ["b", None]], EVIL)
  page.figure(noise(4, 5, 3), EVIL)
  page.section("Second")
  page.figures([(noise(2, 3, 1), "left"), (noise(6, 7, 3), "right")])
  page.film_strip(noise(2, 3, 4, 4, 1), EVIL)
  page.chart({EVIL: ([0, 1], [2, 3]), "b": ([], [])}, EVIL, EVIL, EVIL)
  page.chart({"a": ([0, 1], [2, 3])}, "step", "loss", log=True)
  page.key_values({EVIL: EVIL, "seed": 0})
  page.details(EVIL, EVIL)
  return page


def test_tags_are_balanced_and_nothing_is_fetched(full):
  text = full.render()
  page = Page(text)
  for tag, attributes in page.tags:
    assert tag not in {"script", "link", "iframe", "object"}
    for name in ("href", "src"):
      assert attributes.get(name, "#").startswith(("#", "data:"))
    assert not [name for name in attributes if name.startswith("on")]
  (style,) = page.text("style")
  assert "url(" not in style and "@import" not in style
  assert "http" not in text.replace(EVIL, "")


def test_every_text_is_shown_as_it_is(full):
  page = Page(full.render())
  for tag in (
    *("title", "h1", "h2", "p", "a", "th", "td", "figcaption", "text"),
    *("li", "dt", "dd", "summary", "pre"),
  ):
    assert "".join(page.text(tag)).count(EVIL) >= 1, tag
  assert page.all("img")[0]["alt"] == EVIL


def test_pictures_come_back_pixel_for_pixel(full):
  strip = drawing.film_strip(noise(2, 3, 4, 4, 1))
  given = [noise(4, 5, 3), noise(2, 3, 1), noise(6, 7, 3), strip]
  page = Page(full.render())
  for stored, image, tag in zip(
    page.pictures(), given, page.all("img"), strict=True
  ):
    np.testing.assert_array_equal(stored, drawing.to_rgb(image))
    assert (int(tag["height"]), int(tag["width"])) == stored.shape[:2]


def test_the_table_of_contents_leads_to_every_section(full):
  page = Page(full.render())
  links = [a["href"] for a in page.all("a")]
  assert links == [f"#{h2['id']}" for h2 in page.all("h2")]
  assert page.text("a") == page.text("h2")
  assert len(links) == 2


def test_charts_in_succession_share_a_row(full):
  full.chart({"a": ([0], [1])}, "step", "loss")
  classes = [div.get("class") for div in Page(full.render()).all("div")]
  assert classes.count("charts") == 2


def test_the_mark_has_the_colour_of_the_border(full):
  (style,) = Page(full.render()).text("style")
  assert "--accent: #{:02x}{:02x}{:02x};".format(*drawing.ACCENT) in style


def test_cells_are_written_by_their_kind():
  page = report.Report("t")
  row = ["FD", 1437, 0.123456, 1.5, 123456.7, None, "7.5 ± 0.1", float("nan")]
  page.table(list("abcdefgh"), [row, ["x", *row[1:]]])
  shown = Page(page.render())
  assert shown.text("td")[:8] == [
    *("FD", "1,437", "0.1235", "1.5", "123,457"),
    *("\N{EN DASH}", "7.5 ± 0.1", "nan"),
  ]
  # Columns of numbers stand to the right, their headers too.
  right = [td.get("class") == "number" for td in shown.all("td")]
  assert right == [False, *[True] * 7] * 2
  assert [th.get("class") == "number" for th in shown.all("th")] == right[:8]


def test_one_text_makes_a_column_of_texts():
  page = report.Report("t")
  page.table(["a", "b"], [[1, 1], [2, "two"]])
  classes = [td.get("class") for td in Page(page.render()).all("td")]
  assert classes == ["number", None, "number", None]


def test_a_table_may_be_empty_but_not_ragged():
  page = report.Report("t")
  page.table(["a", "b"], [])
  assert Page(page.render()).text("th") == ["a", "b"]
  with pytest.raises(ValueError, match="zip"):
    page.table(["a", "b"], [[1]])


def test_writing_replaces_the_file_and_leaves_no_other(tmp_path, full):
  path = tmp_path / "new" / "report.html"
  report.Report("old").write(path)
  assert full.write(path) == path
  assert path.read_text(encoding="utf-8") == full.render()
  assert [p.name for p in path.parent.iterdir()] == ["report.html"]
