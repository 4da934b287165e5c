"""The notebooks: generated from their sources, short, and they run."""

import json
import os
import re
import subprocess
import sys
import types

import pytest

from colabs import build
from experiments.publishing import address as address_of

MOST_LINES = 95
NAMES = [
  "pseudo_videos",
  "reproduce_table",
  "train_and_sample",
  "your_own_pseudo_video",
]
each = pytest.mark.parametrize("name", NAMES)


def load(name):
  """The committed notebook."""
  return json.loads((build.FOLDER / f"{name}.ipynb").read_text())


def code_cells(name):
  """Their texts, in order."""
  cells = load(name)["cells"]
  return ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]


def execute(name, folder, **variables):
  """Runs the code cells in order in a new process; returns what it says."""
  folder.mkdir(exist_ok=True)
  script = folder / "cells.py"
  script.write_text("\n".join(code_cells(name)))
  kept = {"PATH", "HOME", "XDG_CACHE_HOME", "TMPDIR"}
  kept.add("JAX_DISABLE_MOST_OPTIMIZATIONS")
  kept &= set(os.environ)
  done = subprocess.run(
    [sys.executable, script],
    cwd=folder,
    env={k: os.environ[k] for k in kept}
    | {"PRESET": "tiny", "JAX_PLATFORMS": "cpu", "MPLBACKEND": "Agg"}
    | variables,
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, done.stderr[-4000:]
  return done.stdout + done.stderr


def test_there_is_a_notebook_for_every_source_and_none_besides():
  assert [path.stem for path in build.sources()] == NAMES
  assert sorted(p.stem for p in build.FOLDER.glob("*.ipynb")) == NAMES


@each
def test_the_notebook_is_what_the_source_makes(name):
  made = build.generated(build.FOLDER / f"{name}.py")
  assert (build.FOLDER / f"{name}.ipynb").read_text() == made, (
    "It has drifted; run python -m colabs.build."
  )


def check_format(name):
  """Checks what nbformat 4.5 requires, and that nothing was run."""
  made = load(name)
  assert made.keys() == {"cells", "metadata", "nbformat", "nbformat_minor"}
  assert (made["nbformat"], made["nbformat_minor"]) == (4, 5)
  assert {"name", "display_name"} <= made["metadata"]["kernelspec"].keys()
  ids = [cell["id"] for cell in made["cells"]]
  assert len(set(ids)) == len(ids)
  assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", one) for one in ids)
  for cell in made["cells"]:
    required = {"id", "cell_type", "metadata", "source"}
    if cell["cell_type"] == "code":
      assert cell.pop("outputs") == []
      assert cell.pop("execution_count") is None
    else:
      assert cell["cell_type"] == "markdown"
    assert cell.keys() == required
    *lines, last = cell["source"]
    assert all(line.endswith("\n") and line.count("\n") == 1 for line in lines)
    assert last and "\n" not in last


def check_lines(name):
  """Every line, read here in another way than the builder does."""
  source = (build.FOLDER / f"{name}.py").read_text().splitlines()
  markdown, expected = False, []
  for line in source:
    if line.startswith("# %%"):
      markdown = line == "# %% [markdown]"
    elif line.strip():
      expected.append(line[2:] if markdown else line)
  lines = [
    line.rstrip("\n") for cell in load(name)["cells"] for line in cell["source"]
  ]
  shown = [line for line in lines if line.strip() and "[![" not in line]
  assert [line for line in expected if line.strip()] == shown


@each
def test_the_notebook_is_valid_short_and_has_no_outputs(name):
  check_format(name)
  check_lines(name)
  lines = "\n".join(code_cells(name)).splitlines()
  code = [line for line in lines if line.strip() and line.strip()[0] != "#"]
  assert len(code) <= MOST_LINES
  # A badge first, then the installation, then a form.
  first, second = load(name)["cells"][:2]
  text = "".join(first["source"])
  assert text.startswith("# ") and "colab-badge.svg" in text.splitlines()[2]
  assert second["cell_type"] == "code" and "pip" in "".join(second["source"])
  assert re.search(r"^PRESET = \"small\"  # @param", code_cells(name)[1], re.M)


def test_all_notebooks_install_in_the_same_way():
  assert len({code_cells(name)[0] for name in NAMES}) == 1


def test_the_address_is_that_of_the_citation():
  citation = "a: 1\nrepository-code: 'https://github.com/OWNER/REPO'\nb: 2\n"
  address = address_of.repository(citation)
  assert address == "https://github.com/OWNER/REPO"
  assert address_of.repository("references:\n  - repository-code: x\n") == ""
  source = build.FOLDER / "pseudo_videos.py"
  made = json.dumps(build.notebook("n", source.read_text(), address))
  assert (
    "https://colab.research.google.com/github/OWNER/REPO/blob/main/colabs/"
    "n.ipynb"
  ) in made
  assert r"REPOSITORY = \"https://github.com/OWNER/REPO\"" in made


@pytest.mark.parametrize("text", ["import os\n# %%\n", "# %% [markdown]\nhi\n"])
def test_sources_that_are_not_understood_are_refused(text):
  with pytest.raises(ValueError, match=r"A (source|line of markdown)"):
    build.cells(text)


UPLOADED = "/content/pseudovideo"
INSTALL = f"{UPLOADED}[features]"


@pytest.mark.parametrize(
  ("found", "clones", "address", "asked", "used"),
  [
    ("/mine/pseudovideo/__init__.py", ["/mine"], "", [], "/mine"),
    (None, [UPLOADED], "", [INSTALL], UPLOADED),
    # The folder of a clone, seen as a package without an __init__.
    (False, [UPLOADED], "", [INSTALL], UPLOADED),
    (None, [], "https://h/n", [UPLOADED, INSTALL], UPLOADED),
    # Installed, by the same cell before a restart, say.
    ("/site/pseudovideo/__init__.py", [UPLOADED], "", [INSTALL], UPLOADED),
  ],
)
def test_it_clones_and_installs_what_is_missing(
  monkeypatch, found, clones, address, asked, used
):
  spec = found if found is None else types.SimpleNamespace(origin=found or None)
  calls = []
  monkeypatch.setattr("importlib.util.find_spec", lambda name: spec)
  monkeypatch.setattr("os.path.isdir", lambda path: path in clones)
  monkeypatch.setattr(
    "os.path.isfile",
    lambda path: path.removesuffix("/setup.py") in clones,
  )
  monkeypatch.setattr("os.path.exists", lambda path: False)
  monkeypatch.setattr("shutil.which", lambda name: None)
  monkeypatch.setattr("subprocess.run", lambda args, check: calls.append(args))
  monkeypatch.setattr("sys.path", [*sys.path])
  code = code_cells("pseudo_videos")[0]
  exec(re.sub('REPOSITORY = "[^"]*"', f'REPOSITORY = "{address}"', code), {})
  assert [call[-1] for call in calls] == asked
  assert sys.path[0] == used


def test_it_asks_for_an_address_where_there_is_none(monkeypatch):
  monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
  code = re.sub(
    'REPOSITORY = "[^"]*"', 'REPOSITORY = ""', code_cells("pseudo_videos")[0]
  )
  with pytest.raises(SystemExit, match="Say in REPOSITORY what to clone"):
    exec(code, {})


def test_pseudo_videos_runs(tmp_path):
  said = execute("pseudo_videos", tmp_path)
  assert (tmp_path / "augmentations.png").exists()
  table = said.partition("rank  ")[2]
  assert "high_order, 4 frames" in table and "heat, 4 frames" in table


@pytest.mark.slow("runs a notebook: two trainings")
def test_train_and_sample_shows_its_pictures_and_goes_on(tmp_path):
  execute("train_and_sample", tmp_path, STEPS="3")
  for name in ("samples.png", "generated_videos.png", "pseudo_videos.png"):
    assert (tmp_path / name).exists()
  said = execute("train_and_sample", tmp_path, STEPS="6")
  assert "resumes from step 3" in said


@pytest.mark.slow("runs a notebook: rows of a table")
def test_reproduce_table_shows_the_table_and_the_page(tmp_path, monkeypatch):
  """Runs one row, where the notebook has more."""
  rows = r'^ROWS = "[^"]*"'
  cells = code_cells("reproduce_table")
  assert len(re.findall(rows, "\n".join(cells), re.M)) == 1
  one = [re.sub(rows, 'ROWS = "one_frame"', c, flags=re.M) for c in cells]
  monkeypatch.setitem(globals(), "code_cells", lambda name: one)
  said = execute("reproduce_table", tmp_path)
  assert re.search(r"^1 frame +12\.90 ", said, re.M)
  page = (tmp_path / "runs/report.html").read_text()
  assert "1 frame" in page and "Not run" in page


@pytest.mark.slow("runs a notebook: two trainings")
def test_your_own_pseudo_video_has_its_row_beside_a_stock_one(tmp_path):
  said = execute("your_own_pseudo_video", tmp_path)
  probed, _, rows = said.partition("curves.html")
  assert "mosaic, 4 frames" in probed
  for label in ("1 frame", "4 frames, high-order blur", "4 frames, mosaic"):
    assert re.search(rf"^{label}.* 16 .* 6 ", rows, re.M), label
  assert (tmp_path / "generated_mosaic_4.png").exists()
