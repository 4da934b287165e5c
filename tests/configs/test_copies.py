"""A config file can be copied alone, to users with a `configs` of their own."""

import ast
import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from pseudovideo.config import parsing
from tests.configs import config_files as files

FILES = {module: pathlib.Path(module.__file__) for module in files.ARGUMENTS}
ALLOWED = {"ml_collections", "pseudovideo", *sys.stdlib_module_names}
# Names of folders of the clone, which are not installed.
OF_THE_CLONE = ("configs", "experiments", "benchmarks", "colabs", "tests")
LOAD = """
import json, sys
from pseudovideo import main
from pseudovideo.terminal import command_line
print(json.dumps({
  "jsons": [command_line.load_config(path).json for path in sys.argv[1:]],
  "modules": sorted({name.partition(".")[0] for name in sys.modules}),
}))
"""
FIND = """
import importlib.util, json, sys
found = [importlib.util.find_spec(name) for name in sys.argv[1:]]
print(json.dumps([str(spec.origin) for spec in found if spec]))
"""


def said(code, *arguments, cwd):
  """What a process says that knows of the clone only what is installed."""
  done = subprocess.run(
    [sys.executable, "-c", code, *arguments],
    cwd=cwd,
    env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, done.stderr
  return json.loads(done.stdout)


def imported(path):
  """The top-level names that a file imports anywhere in it."""
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Import):
      yield from (name.name.partition(".")[0] for name in node.names)
    if isinstance(node, ast.ImportFrom):
      yield "." * node.level or (node.module or "").partition(".")[0]


@pytest.mark.parametrize("path", FILES.values(), ids=lambda path: path.stem)
def test_a_config_file_imports_the_package_alone(path):
  assert set(imported(path)) <= ALLOWED


def test_copies_work_beside_names_of_the_users_own(tmp_path):
  """They give the configs of the clone; of the user's files none is loaded."""
  mine = tmp_path / "configs"
  mine.mkdir()
  (tmp_path / "benchmarks").mkdir()
  for name in ("configs/__init__", "experiments", "benchmarks/__init__"):
    (tmp_path / f"{name}.py").write_text("raise ImportError('not for you')")
  for path in FILES.values():
    shutil.copy(path, mine)
  copies = (f"configs/{path.name}" for path in FILES.values())
  found = said(LOAD, *copies, cwd=tmp_path)
  assert not {*OF_THE_CLONE} & {*found["modules"]}
  expected = [parsing.parse(module.get_config()).json for module in FILES]
  assert found["jsons"] == expected


def test_only_the_package_is_installed_from_a_clone(tmp_path):
  """Other packages may have these names; an old .venv needs `make install`."""
  root = pathlib.Path(__file__).parents[2]
  found = said(FIND, *OF_THE_CLONE, cwd=tmp_path)
  here = {str(root / name / "__init__.py") for name in OF_THE_CLONE}
  assert not here & {*found}
