"""Streams that are gone, full or cannot hold a letter."""

import io
import os
import pathlib
import subprocess
import sys

import pytest

from pseudovideo.terminal import output, progress_bar

ROOT = pathlib.Path(__file__).parents[2]
# Letters of tables, of paths, and of file names that are no UTF-8.
TEXT = "0.91 ± 0.02 † 写真 \udcff"


def closed():
  stream = io.StringIO()
  stream.close()
  return stream


class Raising(io.StringIO):
  """A window that is gone, with errors of its own."""

  def write(self, text):
    raise RuntimeError(text)

  def flush(self):
    raise RuntimeError

  def isatty(self):
    raise RuntimeError


def broken_pipe():
  reader, writer = os.pipe()
  os.close(reader)
  return open(writer, "w")


def full():
  return open("/dev/full", "w")


STREAMS = {
  "none": lambda: None,
  "closed": closed,
  "raising": Raising,
  "broken pipe": broken_pipe,
  "full": full,
  "no stream": object,
  "ascii": lambda: io.TextIOWrapper(io.BytesIO(), "ascii"),
}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("make", STREAMS.values(), ids=STREAMS.keys())
def test_no_stream_ends_a_program(make, monkeypatch):
  for name in ("stdout", "stderr"):
    monkeypatch.setattr(sys, name, make())
  with output.forgiving():
    for stream in (sys.stdout, sys.stderr):
      print(TEXT * 1000, file=stream, flush=True)
      stream.writelines([TEXT, TEXT])
      stream.isatty()
    progress = progress_bar.Progress(2)
    progress.update(1, 0.5)
    progress.close()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_a_letter_that_an_encoding_lacks_costs_that_letter(encoding):
  raw = io.BytesIO()
  stream = output.Lenient(io.TextIOWrapper(raw, encoding))
  print(TEXT, file=stream, flush=True)
  shown = raw.getvalue().decode(encoding)
  assert shown.startswith("0.91 ") and "\\udcff" in shown
  for letter in "±†":
    try:
      letter.encode(encoding)
    except UnicodeEncodeError:
      assert letter not in shown
    else:
      assert letter in shown


def test_streams_are_given_back():
  before = sys.stdout, sys.stderr
  with output.forgiving():
    inside = sys.stdout, sys.stderr
    with output.forgiving():
      assert (sys.stdout, sys.stderr) == inside
    assert (sys.stdout, sys.stderr) == inside
  assert (sys.stdout, sys.stderr) == before


CODE = f"""
import contextlib, os, sys
from pseudovideo.terminal import output
with output.forgiving():
  for number in range(200):
    print({TEXT!r} * 50)
    print({TEXT!r}, file=sys.stderr, flush=True)
  taken = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)
  assert taken > 2, taken
  with contextlib.suppress(OSError):
    os.write(2, b"what a library prints")
sys.exit(3)
"""


@pytest.mark.parametrize(
  "redirected",
  [
    "",
    ">&-",
    "2>&-",
    "<&- >&- 2>&-",
    ">/dev/full 2>/dev/full",
    "| head -c 1 >/dev/null",
    "2>&1 | true",
  ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1:strict"])
def test_what_a_shell_does_to_a_program(tmp_path, redirected, encoding):
  file = tmp_path / "file"
  script = f'"$0" -c "$1" "$2" {redirected}; exit "${{PIPESTATUS[0]}}"'
  done = subprocess.run(
    ["bash", "-c", script, sys.executable, CODE, str(file)],
    cwd=ROOT,
    env=os.environ | {"PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT)},
    capture_output=True,
    check=False,
  )
  assert done.returncode == 3, done.stderr.decode()
  assert b"Traceback" not in done.stderr and b"ignored" not in done.stderr
  assert file.read_bytes() == b""


@pytest.mark.parametrize("columns", ["0", "1", "-3", "x", "100000"])
@pytest.mark.parametrize("term", ["dumb", "", "xterm"])
def test_odd_terminals_get_some_progress(monkeypatch, columns, term):
  class Terminal(io.StringIO):
    def isatty(self):
      return True

  monkeypatch.setenv("COLUMNS", columns)
  monkeypatch.setenv("TERM", term)
  stream = Terminal()
  progress = progress_bar.Progress(3, description="±", stream=stream)
  for step in (1, 2, 3):
    progress.update(step, 0.5)
  progress.close()
  assert stream.getvalue()
  assert ("\r" in stream.getvalue()) == (term != "dumb")
