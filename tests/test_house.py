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


def loaded(module):
  """Modules of the package that an import of `module` loads."""
  code = (
    f"import json, sys, {module}\n"
    "print(json.dumps([m for m in sys.modules if m.startswith('pseudovideo')]))"
  )
  run = subprocess.run(
    [sys.executable, "-c", code], capture_output=True, text=True, check=True
  )
  return json.loads(run.stdout)


@pytest.mark.parametrize("module", [*TASKS, "samplers.masked", "losses"])
def test_the_mathematics_loads_no_machinery(module):
  found = loaded(f"pseudovideo.{module}")
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
def test_little_is_loaded(module, most):
  assert len(loaded(f"pseudovideo.{module}")) <= most


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.name)
def test_each_room_says_what_lives_there(room):
  tree = ast.parse((room / "__init__.py").read_text())
  said = ast.get_docstring(tree)
  assert said and "\n" in said
