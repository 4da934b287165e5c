"""The rooms of the house: what they may load, and that each says what it is."""

import ast
import json
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
ROOMS = sorted(
  path
  for top in ("pseudovideo", "experiments")
  for path in (ROOT / top).iterdir()
  if (path / "__init__.py").exists()
)
TASKS = sorted(
  f"tasks.{path.stem}"
  for path in (ROOT / "pseudovideo" / "tasks").glob("*.py")
  if path.stem != "__init__"
)
# What the mathematics and the tasks are to be free of.
MACHINERY = (
  *("checkpoints", "commands", "config", "convert", "data", "evaluation"),
  *("files", "first_stages", "from_torch", "metrics", "report", "runs"),
  *("terminal", "training"),
)


# Imports each module in a process of its own, which has the libraries already.
LOADING = """
import importlib, json, os, sys
import flax.linen, optax
for module in sys.argv[1:]:
  if os.fork():
    assert os.wait()[1] == 0
  else:
    importlib.import_module(module)
    ours = [m for m in sys.modules if m.startswith("pseudovideo")]
    print(json.dumps({module: ours}), flush=True)
    os._exit(0)
"""


@pytest.fixture(scope="module")
def loaded():
  """Module -> modules of the package that its import loads."""
  modules = [f"pseudovideo.{m}" for m in (*TASKS, "samplers.masked", "losses")]
  run = subprocess.run(
    [sys.executable, "-W", "ignore", "-c", LOADING, *modules],
    cwd=ROOT, capture_output=True, text=True, check=True,
  )  # fmt: skip
  found = {}
  for line in run.stdout.splitlines():
    found |= json.loads(line)
  return found


@pytest.mark.parametrize("module", [*TASKS, "samplers.masked", "losses"])
def test_the_mathematics_loads_no_machinery(loaded, module):
  found = loaded[f"pseudovideo.{module}"]
  assert f"pseudovideo.{module}" in found
  assert not {name for m in found for name in m.split(".")} & set(MACHINERY)


@pytest.mark.parametrize(
  ("module", "most"),
  [
    ("tasks.video_diffusion", 48),
    ("tasks.video_vae", 48),
    ("tasks.token_prior", 48),
    ("samplers.masked", 12),
    ("losses", 2),
  ],
)
def test_little_is_loaded(loaded, module, most):
  assert len(loaded[f"pseudovideo.{module}"]) <= most


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.name)
def test_each_room_says_what_lives_there(room):
  tree = ast.parse((room / "__init__.py").read_text())
  said = ast.get_docstring(tree)
  assert said and "\n" in said
