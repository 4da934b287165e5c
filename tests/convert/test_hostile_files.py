"""Files of weights that attack: refused soon, in one line, nothing executed."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from pseudovideo import convert, errors
from pseudovideo.convert import __main__ as main
from pseudovideo.metrics import weights
from tests import hostile

READ = "pseudovideo.convert:read"
LOAD = "import pickle, sys; pickle.load(sys.stdin.buffer)"
# numpy reads them, and a network takes none of them.
STRANGE = ("text", "fields", "empty")


@pytest.fixture(scope="module")
def trace(tmp_path_factory) -> pathlib.Path:
  """What every program in a file tries to make."""
  return tmp_path_factory.mktemp("trace") / "executed"


@pytest.fixture(scope="module")
def files(trace, tmp_path_factory) -> dict[str, pathlib.Path]:
  contents = {}
  for what, program in hostile.hostile_pickles().items():
    contents[f"zip, {what}"] = hostile.torch_zip(program)
  for what, program in hostile.code_pickles(f"touch {trace}").items():
    contents[f"zip, {what}"] = hostile.torch_zip(program)
    contents[f"old, {what}"] = hostile.legacy(hostile.with_part(program))
  endless = hostile.legacy(b"}.", hostile.TWICE + b".")
  contents["old, a version of 2^60 tuples"] = endless
  for what, header in hostile.hostile_safetensors().items():
    contents[f"safetensors, {what}"] = hostile.safetensors(header)
  for what, content in hostile.hostile_npz(trace).items():
    if what not in STRANGE:
      contents[f"npz, {what}"] = content
  return hostile.write(tmp_path_factory.mktemp("files"), contents, "")


def test_every_file_is_refused(files, trace, tmp_path):
  pipe, loop = tmp_path / "pipe.npz", tmp_path / "loop.npz"
  os.mkfifo(pipe)
  loop.symlink_to(loop)
  files = files | {"pipe": pipe, "loop": loop, "device": "/dev/zero"}
  found = hostile.outcomes([(READ, path) for path in files.values()])
  for (what, path), outcome in zip(files.items(), found, strict=True):
    hostile.assert_refused(outcome, path, what)
    assert "cannot be read as a safetensors, npz or torch file" in outcome.said
  assert not trace.exists()


def test_the_programs_are_true_weapons(tmp_path):
  """Python's own reader runs those that name what every Python has."""
  ran = []
  for number, what in enumerate(
    ["GLOBAL and REDUCE", "STACK_GLOBAL", "INST", "OBJ", "getattr"]
  ):
    trace = tmp_path / str(number)
    program = hostile.code_pickles(f"touch {trace}")[what]
    subprocess.run(
      [sys.executable, "-c", LOAD],
      input=b"\x80\x02" + program,
      check=True,
    )
    ran.append(trace.exists())
  assert all(ran)


def test_what_surrounds_the_programs_is_sound(tmp_path):
  """Else all of them would be refused for that."""
  program = hostile.state_dict_program()
  for content in (
    hostile.torch_zip(program),
    hostile.legacy(hostile.with_part(program)),
    hostile.safetensors(
      b'{"a": {"dtype": "F32", "shape": [6], "data_offsets": [0, 24]}}',
      bytes(24),
    ),
    hostile.in_zip(a=hostile.npy(hostile.shaped("(6,)", "'<f4'"), bytes(24))),
  ):
    (tmp_path / "good").write_bytes(content)
    found = convert.read(tmp_path / "good")
    assert list(found) == ["a"]
    np.testing.assert_array_equal(found["a"], np.zeros(6, np.float32))


def test_the_command_says_one_sentence(files, tmp_path, capsys):
  path = files["zip, GLOBAL and REDUCE"]
  code = main.main(
    [
      f"--weights={path}",
      f"--workdir={tmp_path / 'run'}",
      "--config=configs/video_diffusion.py:preset=tiny,frames=1",
    ]
  )
  said = capsys.readouterr().err
  assert code == 2
  assert said.startswith(f"Error: {path} cannot be read as ")
  assert said.count("\n") == 1
  assert not (tmp_path / "run").exists()


def test_published_weights_that_have_no_end(tmp_path):
  os.mkfifo(tmp_path / "pipe")
  for path in (tmp_path / "pipe", pathlib.Path("/dev/zero")):
    with pytest.raises(errors.UserError, match="is a pipe or a device"):
      weights.read(weights.VGG16, path)
