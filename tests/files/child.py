"""A process of little memory in which files that attack are read.

`outcomes` gives each file to its reader in one child, which may grow by
`MEMORY` bytes of address space and notes whatever Python's audit hooks see of
programs, sockets, modules and unpickled names.
"""

import dataclasses
import importlib
import json
import pathlib
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

MEMORY = 512 * 2**20
SECONDS = 20  # for one file
ROOT = pathlib.Path(__file__).parents[2]
WATCHED = (
  "os.system",
  "os.exec",
  "os.fork",
  "os.posix_spawn",
  "subprocess.Popen",
  "socket.connect",
  "pickle.find_class",
)
READ = "pseudovideo.convert:read"
SAMPLES = "pseudovideo.runs.sample_files:load"
CONSUME = "tests.files.child:consume"
IMAGE = "tests.files.child:open_image"
SET = "tests.files.child:load_set"


@dataclasses.dataclass(frozen=True)
class Case:
  """A file and who reads it.

  Attributes:
    what: fault of the file.
    reader: `MODULE:FUNCTION`.
    path: path that the sentence names.
    argument: argument of the reader, where that is not the path.
    says: another part of the sentence; None: the file is read.
  """

  what: str
  reader: str
  path: pathlib.Path
  argument: str | None = None
  says: str | None = ""


@dataclasses.dataclass(frozen=True)
class Outcome:
  """The end of a reading.

  Attributes:
    kind: the type of the error; None where there was none.
    said: message of the error.
    seconds: time that it took.
    events: audited ones of `WATCHED`.
  """

  kind: str | None
  said: str
  seconds: float
  events: tuple[str, ...]


Make = Callable[[pathlib.Path, pathlib.Path], list[Case]]


def read_all(kinds: dict[str, Make], tmp_path_factory, trace: pathlib.Path):
  """Makes all files, and reads them in one child.

  Args:
    kinds: functions of a folder and `trace` that make files.
    tmp_path_factory: pytest's.
    trace: the file that every program in a file tries to make.

  Returns:
    Kind -> pairs of a case and its outcome.
  """
  cases = {
    kind: make(tmp_path_factory.mktemp("files"), trace)
    for kind, make in kinds.items()
  }
  flat = [case for each in cases.values() for case in each]
  found = iter(outcomes([(c.reader, c.argument or c.path) for c in flat]))
  return {
    kind: [(case, next(found)) for case in each] for kind, each in cases.items()
  }


def check(case: Case, outcome: Outcome) -> None:
  """One sentence of `UserError` that names the file, soon, and nothing run."""
  about = f"{case.what}, {case.reader}: {outcome}"
  if case.says is None:
    assert outcome.kind is None, about
    return
  assert outcome.kind == "UserError", about
  assert str(case.path) in outcome.said, about
  assert outcome.said.isprintable(), about
  assert len(outcome.said) < 2000, about[:200]
  for word in ("MemoryError", "allocate"):
    assert word not in outcome.said, about
  assert outcome.events == (), about
  assert case.says in outcome.said, about
  if case.reader == READ:
    assert "as a safetensors, npz or torch file: " in outcome.said


def outcomes(cases) -> list[Outcome]:
  """Reads files in a child.

  Args:
    cases: pairs of a reader, as `pseudovideo.convert:read`, and a path or
      another argument.
  """
  lines = [json.dumps([reader, str(path)]) for reader, path in cases]
  with tempfile.TemporaryDirectory() as home:
    done = subprocess.run(
      [sys.executable, "-m", "tests.files.child"],
      input="\n".join(lines),
      cwd=ROOT,
      env={
        "XDG_CACHE_HOME": home,
        "HOME": home,
        "JAX_PLATFORMS": "cpu",
        # Else every thread reserves addresses that it does not use.
        "MALLOC_ARENA_MAX": "2",
      },
      capture_output=True,
      text=True,
      timeout=60 + SECONDS * len(lines),
      check=False,
    )
  found = [
    Outcome(*row[:3], tuple(row[3]))
    for row in map(json.loads, done.stdout.splitlines())
  ]
  assert len(found) == len(lines), done.stderr[-3000:]
  return found


class _TooSlowError(BaseException):
  """Raised after `SECONDS`; no reader takes it for a damaged file."""


def _too_slow(*_):
  raise _TooSlowError


def _child() -> None:
  """Reads the cases of the standard input, one per line."""
  cases = [json.loads(line) for line in sys.stdin]
  readers = {name: _reader(name) for name, _ in cases}
  if SET in readers:  # It needs much by itself.
    importlib.import_module("tensorflow_datasets")
  events = []
  sys.addaudithook(
    lambda event, args: event in WATCHED and events.append(f"{event} {args}")
  )
  signal.signal(signal.SIGALRM, _too_slow)
  pages = int(pathlib.Path("/proc/self/statm").read_text().split()[0])
  limit = pages * resource.getpagesize() + MEMORY
  resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
  for name, argument in cases:
    events.clear()
    start, kind, said = time.perf_counter(), None, ""
    signal.alarm(SECONDS)
    try:
      readers[name](argument)
    except BaseException as error:
      kind, said = type(error).__name__, str(error)
    signal.alarm(0)
    row = [kind, said, time.perf_counter() - start, events]
    print(json.dumps(row), flush=True)


def _reader(name: str):
  module, _, function = name.partition(":")
  return getattr(importlib.import_module(module), function)


def consume(argument: str) -> None:
  """Reads a set of images for the scores, block by block."""
  from pseudovideo.metrics import sources

  for _ in sources.parse(argument).chosen(2, 0).blocks():
    pass


def open_image(path: str) -> None:
  """Decodes one image."""
  from pseudovideo.data import decoding

  with decoding.opened(pathlib.Path(path), path) as image:
    decoding.to_array(image, 3, None)


def load_set(name: str) -> None:
  """Loads a data set, `NAME` or `NAME@DIR`."""
  from pseudovideo import data

  name, _, folder = name.partition("@")
  data.load(name, data_dir=folder or None)


if __name__ == "__main__":
  _child()
