"""The wheel: what it holds and declares, and that it works without a clone."""

import ast
import importlib.metadata
import json
import math
import os
import pathlib
import shutil
import subprocess
import sys
import venv
import zipfile

import pytest
from packaging import requirements, utils

import pseudovideo

ROOT = pathlib.Path(__file__).parents[1]
# Folders of the clone, whose names are everybody's.
NOT_INSTALLED = ("benchmarks", "colabs", "configs", "experiments", "tests")
# Extras of those who use the package, not of those who work on it.
EXTRAS = ("prepare", "slurm", "video")
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "-q")

pytestmark = pytest.mark.slow("builds a wheel, installs it and trains")


@pytest.fixture(name="source", scope="module")
def _source(tmp_path_factory):
  """A copy of the clone's code: a build leaves files beside it."""
  folder = tmp_path_factory.mktemp("source")
  for path in ROOT.iterdir():
    if path.is_file():
      shutil.copy(path, folder)
    elif path.name in ("pseudovideo", *NOT_INSTALLED):
      ignored = shutil.ignore_patterns(".*", "__pycache__")
      shutil.copytree(path, folder / path.name, ignore=ignored)
  return folder


@pytest.fixture(name="wheel", scope="module")
def _wheel(source, tmp_path_factory):
  """The wheel, built with nothing from the network."""
  folder = tmp_path_factory.mktemp("wheel")
  offline = ("--no-deps", "--no-index", "--no-build-isolation")
  subprocess.run(
    [*PIP, "wheel", *offline, f"--wheel-dir={folder}", source], check=True
  )
  (path,) = folder.glob("*.whl")
  return path


@pytest.fixture(name="environment", scope="module")
def _environment(wheel, tmp_path_factory):
  """A new environment's site-packages: the wheel, and a way to dependencies.

  Those are where they are here. Of a folder that a .pth file names no .pth
  file is read, so that the package that is installed here is not found.
  """
  folder = tmp_path_factory.mktemp("environment")
  venv.create(folder, symlinks=True)
  offline = ("--no-deps", "--no-index")
  subprocess.run(
    [*PIP, f"--python={folder}/bin/python", "install", *offline, wheel],
    check=True,
  )
  (site,) = folder.glob("lib/python*/site-packages")
  here = [path for path in sys.path if path.endswith("-packages")]
  (site / "dependencies.pth").write_text("\n".join(here))
  return site


@pytest.fixture(name="python", scope="module")
def _python(environment, tmp_path_factory):
  """Runs the new environment's Python in a user's folder, `.folder`.

  The folder has packages of the names that the clone has, which cannot be
  imported, and a config file of the clone in its own `configs`.
  """
  folder = tmp_path_factory.mktemp("user")
  for name in NOT_INSTALLED:
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text("raise ImportError('mine')")
  shutil.copy(ROOT / "configs" / "hvae.py", folder / "configs")
  program = environment.parents[2] / "bin" / "python"

  def run(*arguments):
    return subprocess.run(
      [program, *arguments],
      cwd=folder,
      env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
      capture_output=True,
      text=True,
    )

  run.folder = folder
  return run


def imports(path):
  """Top-level names that a file imports, and whether each is needed at once."""
  tree = ast.parse(path.read_text())
  for node in ast.walk(tree):
    if isinstance(node, ast.Import):
      for name in node.names:
        yield name.name.partition(".")[0], node in tree.body
    if isinstance(node, ast.ImportFrom):
      yield node.module.partition(".")[0], node in tree.body


def test_the_wheel_holds_all_of_the_package_and_nothing_else(wheel, source):
  with zipfile.ZipFile(wheel) as file:
    names = file.namelist()
  about = f"pseudovideo-{pseudovideo.__version__}.dist-info/"
  files = (p for p in (source / "pseudovideo").rglob("*") if p.is_file())
  assert {name for name in names if not name.startswith(about)} == {
    path.relative_to(source).as_posix() for path in files
  }
  assert f"{about}licenses/LICENSE" in names


def test_what_it_imports_is_declared(environment):
  (about,) = environment.glob("pseudovideo-*.dist-info")
  declared = importlib.metadata.Distribution.at(about)
  assert declared.read_text("top_level.txt").split() == ["pseudovideo"]
  needed = [requirements.Requirement(text) for text in declared.requires]

  def of(*extras):
    return {
      utils.canonicalize_name(need.name)
      for need in needed
      for extra in extras
      if not need.marker or need.marker.evaluate({"extra": extra})
    }

  providers = importlib.metadata.packages_distributions()
  for path in (environment / "pseudovideo").rglob("*.py"):
    for name, at_once in imports(path):
      if name in sys.stdlib_module_names or name == "pseudovideo":
        continue
      found = {utils.canonicalize_name(each) for each in providers[name]}
      assert found & of("", *(() if at_once else EXTRAS)), (name, path)


def test_it_is_found_in_its_place_and_the_clone_nowhere(python, environment):
  code = (
    "import importlib.util, json, sys, pseudovideo; sys.path.remove('')\n"
    "print(json.dumps([pseudovideo.__file__, *(n for n in sys.argv[1:] "
    "if importlib.util.find_spec(n))]))"
  )
  done = python("-c", code, *NOT_INSTALLED)
  assert done.returncode == 0, done.stderr
  here = environment / "pseudovideo" / "__init__.py"
  assert json.loads(done.stdout) == [str(here)]


def test_a_copied_config_trains_samples_and_scores(python):
  main, at = ("-m", "pseudovideo.main"), "--workdir=run"
  config = "--config=configs/hvae.py:encoder=heat,preset=tiny"
  for arguments in (
    (*main, "--mode=train", at, config),
    (*main, "--mode=sample", at, "--num_samples=16"),
    (*main, "--mode=evaluate", at),
    (
      "-m", "pseudovideo.metrics", "--images=run/samples.npz", "--metrics=FD",
      "--against=digits", "--network=classifier", "--out=scores.json",
    ),
  ):  # fmt: skip
    done = python(*arguments)
    assert done.returncode == 0, done.stderr
  record = json.loads((python.folder / "run" / "results.json").read_text())
  score = record["metrics"]["generated"]["FD-digitscls"]
  assert math.isfinite(score["value"]) and score["num_samples"] == 32
  assert record["step"] == record["config"]["train"]["steps"] == 8
  assert record["provenance"]["git_commit"] is None, "of no clone"
  assert score["feature_network"]["origin"] == "packaged"
  again = json.loads((python.folder / "scores.json").read_text())["metrics"]
  assert again["scored"]["FD-digitscls"]["value"] == pytest.approx(
    score["value"], rel=1e-6
  )


def test_a_missing_config_file_says_where_they_are(python):
  done = python(
    *("-m", "pseudovideo.main", "--mode=train", "--workdir=none"),
    "--config=configs/hvea.py",
  )
  assert done.returncode == 2 and done.stderr.count("\n") == 1
  assert "configs/hvea.py" in done.stderr and "repository" in done.stderr
  assert not (python.folder / "none").exists()
