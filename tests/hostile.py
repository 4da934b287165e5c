"""Files that attack their reader, and a process in which they are read.

`tests/test_hostile_files.py` says which reader is given which.

`outcomes` gives each file to its reader in one child, which may grow by
`MEMORY` bytes of address space and notes whatever Python's audit hooks see of
programs, sockets, modules and unpickled names.
"""

import dataclasses
import importlib
import io
import json
import pathlib
import pickle
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib

import numpy as np

MEMORY = 512 * 2**20
SECONDS = 20  # for one file
ROOT = pathlib.Path(__file__).parents[1]
WATCHED = (
  "os.system",
  "os.exec",
  "os.fork",
  "os.posix_spawn",
  "subprocess.Popen",
  "socket.connect",
  "pickle.find_class",
)


# --- the child ---


@dataclasses.dataclass(frozen=True)
class Outcome:
  """What a reader did.

  Attributes:
    kind: the type of the error; None where there was none.
    said: its message.
    seconds: that it took.
    events: audited ones of `WATCHED`.
  """

  kind: str | None
  said: str
  seconds: float
  events: tuple[str, ...]


def outcomes(cases) -> list[Outcome]:
  """Reads files in a child.

  Args:
    cases: pairs of a reader, as `pseudovideo.convert:read`, and a path or
      another argument.
  """
  lines = [json.dumps([reader, str(path)]) for reader, path in cases]
  with tempfile.TemporaryDirectory() as home:
    done = subprocess.run(
      [sys.executable, "-m", "tests.hostile"],
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


def assert_refused(outcome: Outcome, path, what: str) -> None:
  """One sentence of `UserError` that names the file, soon, and nothing run."""
  about = f"{what}: {outcome}"
  assert outcome.kind == "UserError", about
  assert str(path) in outcome.said, about
  assert outcome.said.isprintable(), about
  assert len(outcome.said) < 2000, what
  for word in ("MemoryError", "allocate"):
    assert word not in outcome.said, about
  assert outcome.events == (), about


class _TooSlowError(BaseException):
  """So that no reader takes it for a damaged file."""


def _too_slow(*_):
  raise _TooSlowError


def _child() -> None:
  """Reads the cases of the standard input, one per line."""
  cases = [json.loads(line) for line in sys.stdin]
  readers = {name: _reader(name) for name, _ in cases}
  importlib.import_module("tensorflow_datasets")  # It needs much by itself.
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


# --- arrays of numpy ---

ONE = b"{'descr': '|u1', 'fortran_order': False, 'shape': (1, 2, 2, 1)}"


def npy(header: bytes = ONE, data: bytes = bytes(4), version=1, length=None):
  """The bytes of an npy file, whose header says what it likes."""
  header = header.ljust(117) + b"\n"
  size = len(header) if length is None else length
  start = b"\x93NUMPY" + bytes([version, 0])
  return (
    start + struct.pack("<H" if version == 1 else "<I", size) + header + data
  )


def shaped(shape: str, descr: str = "'|u1'", fortran: bool = False) -> bytes:
  """The text of a header."""
  return (
    f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}}}"
  ).encode()


class Evil:
  """Runs a command when it is unpickled."""

  def __init__(self, command: str):
    self.command = command

  def __reduce__(self):
    import os

    return os.system, (self.command,)


def objects(command: str) -> bytes:
  """An npy file of Python objects, with a program in its pickle."""
  file = io.BytesIO()
  np.save(file, np.array([Evil(command)], object), allow_pickle=True)
  return file.getvalue()


def in_zip(compression=zipfile.ZIP_STORED, **entries: bytes) -> bytes:
  """A zip archive with entries `NAME.npy`."""
  file = io.BytesIO()
  with zipfile.ZipFile(file, "w", compression) as archive:
    for name, content in entries.items():
      archive.writestr(f"{name}.npy", content)
  return file.getvalue()


def zeros(start: bytes, num: int) -> bytes:
  """Deflated: `start` and a number of zeros, with its checksum."""
  packer = zlib.compressobj(9, zlib.DEFLATED, -15)
  parts, crc = [packer.compress(start)], zlib.crc32(start)
  block = bytes(2**20)
  for done in range(0, num, len(block)):
    part = block[: num - done]
    parts.append(packer.compress(part))
    crc = zlib.crc32(part, crc)
  return b"".join([*parts, packer.flush()]), crc


def entry(data: bytes | None = None, **changes) -> dict:
  """A stored entry for `raw_zip`."""
  data = npy() if data is None else data
  facts = {"size": len(data), "crc": zlib.crc32(data), "method": 0}
  return {"name": "images.npy", "data": data} | facts | changes


def raw_zip(items) -> bytes:
  """A zip archive whose directory says what it likes.

  Args:
    items: mappings of `name`, `data` (as stored), `size`, `crc`, and
      perhaps `method`, `flags` and `packed`, its claimed compressed size.
  """
  body, directory = bytearray(), bytearray()
  for item in items:
    name, data = item["name"].encode(), item["data"]
    fields = struct.pack(
      "<HHHHHLLLHH",
      20,
      item.get("flags", 0),
      item.get("method", 8),
      0,
      33,
      item["crc"],
      min(item.get("packed", len(data)), 2**32 - 2),
      min(item["size"], 2**32 - 2),
      len(name),
      0,
    )
    place = len(body)
    body += b"PK\x03\x04" + fields + name + data
    directory += b"PK\x01\x02\x14\x00" + fields
    directory += struct.pack("<HHHLL", 0, 0, 0, 0, place) + name
  count = min(len(items), 65535)
  end = struct.pack(
    "<HHHHLLH", 0, 0, count, count, len(directory), len(body), 0
  )
  return bytes(body + directory + b"PK\x05\x06" + end)


def bomb(header: bytes, num: int, name: str = "images.npy", **changes) -> bytes:
  """An npz file that is a thousandth of its array of zeros."""
  start = npy(header, b"")
  data, crc = zeros(start, num)
  entry = {"name": name, "data": data, "size": len(start) + num, "crc": crc}
  return raw_zip([entry | changes])


def hostile_npz(trace) -> dict[str, bytes]:
  """npz files that no reader takes, by what is wrong with them."""
  good = in_zip(images=npy())
  spaces = npy(b" " * 100_000_000, b"", version=2)
  data, crc = zeros(npy(shaped("(10**9,)"), b"", 2, 2**32 - 16), 300_000_000)
  headers = {
    "10^15 images": shaped("(1000000000000000, 2, 2, 1)"),
    "10^15 pixels": shaped("(1, 1000000000000000, 2, 1)"),
    "negative": shaped("(-1, -2, 2, 1)"),
    "negative one": shaped("(-1, 2, 2, 1)"),
    "overflow": shaped("(4294967296, 4294967296, 1, 1)"),
    "long number": shaped(f"({'9' * 5000}, 1, 1, 1)"),
    "no tuple": shaped("4"),
    "of text": shaped("('a', 2, 2, 1)"),
    "no shape": b"{'descr': '|u1', 'fortran_order': False}",
    "code": b"__import__('os').system('touch " + str(trace).encode() + b"')",
    "deep": b"(" * 5000,
    "deep lists": b"[" * 90 + b"]" * 90,
    "nothing": b"",
    "void": shaped("(1, 2, 2, 1)", "'|V0'"),
    "wide": shaped("(1, 2, 2, 1)", "'|V2147483647'"),
    "text": shaped("(1, 1, 1, 1)", "'<U1'"),
    "fields": shaped("(1, 1, 1, 1)", "[('a', '<f4')]"),
    "unknown": shaped("(1, 2, 2, 1)", "'bomb'"),
  }
  files = {what: in_zip(images=npy(h)) for what, h in headers.items()}
  files |= {
    "objects": in_zip(images=objects(f"touch {trace}")),
    "pickle": in_zip(images=pickle.dumps(Evil(f"touch {trace}"))),
    "magic": in_zip(images=b"\x93NUMPZ" + npy()[6:]),
    "version 3": in_zip(images=npy(version=3)),
    "version 9": in_zip(images=npy(version=9)),
    "header of 2 bytes": in_zip(images=b"\x93NUMPY\x01\x00\x76\x00{}"),
    "header of 4 GB": in_zip(images=npy(version=2, length=2**32 - 1)),
    "header of 100 MB": in_zip(zipfile.ZIP_DEFLATED, images=spaces),
    "header bomb": raw_zip(
      [{"name": "images.npy", "data": data, "size": 2**32 - 2, "crc": crc}]
    ),
    "cut": good[: len(good) // 2],
    "no directory": good[:-30],
    "empty": b"PK\x05\x06" + bytes(18),
    "lzma": in_zip(zipfile.ZIP_LZMA, images=npy()),
    "bzip2": in_zip(zipfile.ZIP_BZIP2, images=npy()),
    "encrypted": raw_zip([entry(flags=1)]),
    "method 99": raw_zip([entry(method=99)]),
    "wrong checksum": raw_zip([entry(crc=7)]),
    "stored, claiming 4 GB": raw_zip(
      [entry(npy(shaped("(4294967000, 1, 1, 1)"), b""), size=4294967128)]
    ),
    "deflated, claiming 4 GB": bomb(
      shaped("(4294967000, 1, 1, 1)"), 4, size=4294967128
    ),
    "packed claims 4 GB": raw_zip([entry(packed=2**32 - 2)]),
    "twice": raw_zip([entry(), entry()]),
    "directory of 100,000": raw_zip(
      [entry(b"", name=f"{i}.npy") for i in range(100_000)]
    ),
    "long names": raw_zip(
      [entry(name=f"\x1b[31m{i}{'x' * 60_000}", crc=0) for i in range(9)]
    ),
  }
  return files


# --- pickles ---

TWICE = b")" + b"q\x00h\x00\x86" * 60  # leaves 2^60 tuples in one
MAPPING = b"ccollections\nOrderedDict\n"
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"
LONG = b"\x8a\xff" + b"\x7f" * 255  # an integer of 2,039 bits
STORAGE = (
  b"(" + b"U\x07storagectorch\nFloatStorage\nU\x010U\x03cpu" + b"K\x06tQ"
)
TENSOR = REBUILD + b"(" + STORAGE + b"K\x00K\x06\x85K\x01\x85tR"
# `hash` of all multiples of this is 0.
PRIME = 2**61 - 1


def named(name: str) -> bytes:
  """A pickle's string."""
  return b"X" + struct.pack("<I", len(name)) + name.encode()


def hostile_pickles() -> dict[str, bytes]:
  """Programs that stay within what torch writes, yet hang or fill memory.

  They find a storage of six float32 numbers under the key 0.
  """
  pairs = b"".join(b"K\x00N\x86" for _ in range(50_000))
  names = b"".join(named(f"{i:x}") + b"h\x01" for i in range(50_000))
  collisions = b"".join(
    b"\x8a\x0c" + (PRIME * i).to_bytes(12, "little") + b"N"
    for i in range(1, 100_000)
  )
  return {
    "name of 2^60 tuples": MAPPING + b"]](" + TWICE + b"Nea\x85R.",
    "function of 2^60 tuples": TWICE + named("x") + b"\x93.",
    "mapping named by 2^60 tuples": b"}" + TWICE + b"Ns.",
    "colliding names": b"}(" + collisions + b"u.",
    "mapping copied": b"}(" + names.replace(b"h\x01", b"N") + b"uq\x01"
    + (MAPPING + b"h\x01\x85R") * 60_000 + b".",
    "pairs copied": b"](" + pairs + b"eq\x01"
    + (MAPPING + b"h\x01\x85R") * 60_000 + b".",
    "long arguments": REBUILD + b"q\x02(" + b"N" * 500_000 + b"tq\x03"
    + b"h\x02h\x03R" * 100_000 + b".",
    "long shape": REBUILD + b"(" + STORAGE + b"K\x00(" + LONG + b"q\x01"
    + b"h\x01" * 500_000 + b"tq\x02h\x02tR.",
    "one mapping, many names": b"}(" + TENSOR + b"q\x01" + names
    + named("x") + b"h\x01uq\x04}(" + names.replace(b"h\x01", b"h\x04") + b"u.",
    "many mappings": b"(" + b"}\x94" * 1_000_000 + b"t.",
    "many constants": b"(" + b"N" * 2_000_000 + b"t.",
    "escapes": b"c\x1b[31m\x1b[2J\nsystem\n.",
    "a name of two lines": named("os\nError") + named("system\n") + b"\x93.",
    "a long name": b"c" + b"o" * 1_000_000 + b"\nsystem\n.",
    "a long key": b"}" + named("k" * 1_000_000) + b"Ns.",
    "a storage with a long key": b"(" + named("storage")
    + b"ctorch\nFloatStorage\n" + named("k" * 1_000_000) + b"NK\x06tQ.",
    "a tensor as a function": TENSOR + b")R.",
    "a list in itself": b"]q\x01h\x01a.",
    "a mapping in itself": b"}q\x01" + named("a") + b"h\x01s.",
  }  # fmt: skip


def state_dict_program() -> bytes:
  """{"a": six zeros}."""
  return b"}" + named("a") + TENSOR + b"s."


def with_part(program: bytes) -> bytes:
  """The same, for files of torch before 1.6, which name parts of storages."""
  return program.replace(b"K\x06tQ", b"K\x06NtQ")


def code_pickles(command: str) -> dict[str, bytes]:
  """Programs with which Python's own reader, and torch's, run a command."""
  text = b"X" + struct.pack("<I", len(command)) + command.encode()
  line = b"V" + command.encode() + b"\n"
  call = b"(" + text + b"t"
  return {
    "GLOBAL and REDUCE": b"cos\nsystem\n" + call + b"R.",
    "STACK_GLOBAL": named("os") + named("system") + b"\x93" + call + b"R.",
    "INST": b"(" + line + b"ios\nsystem\n.",
    "OBJ": b"(cos\nsystem\n" + line + b"o.",
    "NEWOBJ": b"cos\nsystem\n" + call + b"\x81.",
    "NEWOBJ_EX": b"cos\nsystem\n" + call + b"}\x92.",
    "through the memo": b"cos\nsystem\nq\x070h\x07" + call + b"R.",
    "getattr": b"c__builtin__\ngetattr\n(cposixpath\nos\n" + named("system")
    + b"tR" + call + b"R.",
    "BUILD": MAPPING + b")R}" + named("__reduce__") + b"cos\nsystem\nsb.",
    "BUILD of slots": MAPPING + b")RN}" + named("update")
    + b"cos\nsystem\ns\x86b.",
    "EXT1": b"\x82\x01.",
    "EXT2": b"\x83\x01\x00.",
    "EXT4": b"\x84\x01\x00\x00\x00.",
    "PERSID": b"P" + command.encode() + b"\n.",
    "BINPERSID": text + b"Q.",
    "a storage of another class": b"(" + named("storage")
    + b"cos\nsystem\n" + named("0") + b"NK\x06tQ.",
    "a class as a storage": b"(" + named("storage") + MAPPING + named("0")
    + b"NK\x06tQ.",
    "pickle in a storage": b"ctorch.storage\n_load_from_bytes\n" + call
    + b"R.",
    "numpy": b"cnumpy.core.multiarray\n_reconstruct\n" + call + b"R.",
    "codecs": b"c_codecs\nencode\n" + call + b"R.",
    "torch.load": b"ctorch\nload\n" + call + b"R.",
    "functools": b"cfunctools\npartial\n(cos\nsystem\n" + text + b"tR)R.",
    "out of band": b"\x97.",
    "BYTEARRAY8": b"\x96" + (2**62).to_bytes(8, "little") + b"abc.",
  }  # fmt: skip


def legacy(program: bytes, version: bytes = b"M\xe9\x03.") -> bytes:
  """A file of torch before 1.6, around the pickle of its objects."""
  parts = [
    pickle.dumps(0x1950A86A20F9469CFC6C, 2),
    b"\x80\x02" + version,
    pickle.dumps({"little_endian": True}, 2),
    b"\x80\x02" + program,
    pickle.dumps(["0"], 2),
  ]
  return b"".join(parts) + (6).to_bytes(8, "little") + bytes(24)


def torch_zip(program: bytes) -> bytes:
  """A file of torch from 1.6 on, around a pickle."""
  file = io.BytesIO()
  with zipfile.ZipFile(file, "w") as archive:
    archive.writestr("archive/data.pkl", b"\x80\x02" + program)
    archive.writestr("archive/data/0", bytes(24))
  return file.getvalue()


# --- JSON ---

DEEP = b"[" * 200_000 + b"]" * 200_000


def hostile_safetensors() -> dict[str, bytes]:
  """Headers of safetensors files, by what is wrong with them."""
  entry = b'{"a": {"dtype": "U8", "shape": %s, "data_offsets": [%s, %s]}}'
  nines = b"9" * 4000
  return {
    "deep": b'{"a": ' + DEEP + b"}",
    "deep metadata": b'{"__metadata__": ' + DEEP + b"}",
    "deep mappings": b'{"a":' * 200_000 + b"1" + b"}" * 200_000,
    "unclosed": b'{"a": ' + DEEP[:200_000],
    "long shape": entry % (b"[" + b"9," * 500_000 + b"9]", b"0", b"9"),
    "long numbers": entry % (b"[" + nines + b"," + nines + b"]", b"0", nines),
    "longer numbers": entry % (b"[" + b"9" * 50_000 + b"]", b"0", b"1"),
    "a float": entry % (b"[1e999]", b"0", b"1"),
    "NaN": entry % (b"[NaN]", b"0", b"1"),
    "beyond the file": entry % (b"[1000000000000]", b"0", b"1000000000000"),
    "many lists": b'{"a": [' + b"[]," * 500_000 + b"0]}",
    "a long name": b'{"' + b"a" * 1_000_000 + b'": 1}',
    "escapes": b'{"\\u001b[31m\\n": 1}',
    "a name twice": b'{"a": 1, "a": 2}',
    "no UTF-8": b'{"\xff": 1}',
    "too many axes": entry % (b"[" + b"1," * 99 + b"1]", b"0", b"1"),
    "empty and large": entry % (b"[0,%s]" % nines, b"0", b"0"),
  }


def safetensors(header: bytes, data: bytes = b"\0") -> bytes:
  """A file with that header."""
  return len(header).to_bytes(8, "little") + header + data


# --- images ---


def png(width: int, height: int, *chunks: tuple[bytes, bytes], data=b"\0" * 99):
  """A PNG of grey pixels that claims a size and has some bytes of it."""
  head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
  parts = [(b"IHDR", head), *chunks, (b"IDAT", zlib.compress(data))]
  return b"\x89PNG\r\n\x1a\n" + b"".join(
    struct.pack(">I", len(content))
    + name
    + content
    + struct.pack(">I", zlib.crc32(name + content))
    for name, content in [*parts, (b"IEND", b"")]
  )


def gif(width: int, height: int, *frames: tuple[int, int]) -> bytes:
  """A GIF of two colours, with frames of any sizes at its corner."""
  content = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0)
  content += bytes(3) + b"\xff" * 3
  for wide, high in frames:
    content += b"," + struct.pack("<HHHHB", 0, 0, wide, high, 0)
    # Clear, one pixel, end: 3-bit codes 4, 0, 5.
    content += b"\x02\x02" + bytes([0b01000100, 0b01]) + b"\x00"
  return content + b";"


def hostile_images(trace) -> dict[str, bytes]:
  """Files that are no images that are read, by what is wrong with them."""
  flat = zlib.compress(bytes(100_000_000), 9)
  return {
    "50,000 x 50,000": png(50_000, 50_000),
    "2^31 x 2^31": png(2**31 - 1, 2**31 - 1),
    "8,000 x 8,000 and cut": png(8_000, 8_000),
    "no width": png(0, 5),
    "no height": png(5, 0),
    "text bomb": png(5, 5, (b"zTXt", b"a\0\0" + flat), data=b""),
    "profile bomb": png(5, 5, (b"iCCP", b"a\0\0" + flat), data=b""),
    "too little": png(50, 50),
    "no data": png(5, 5)[:33],
    "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"
    b"%%EndComments\n(" + str(trace).encode() + b") (w) file closefile\n",
    "HTML": b"<html><script>alert(1)</script></html>",
    "SVG": b'<svg xmlns="http://www.w3.org/2000/svg"></svg>',
    "a gif": gif(4, 4, (4, 4)),
    "bitmap of 2^31": b"BM" + struct.pack(
      "<IHHIIiiHHIIiiII", 99, 0, 0, 54, 40, 2**31 - 1, 2**31 - 1, 1, 24, 0, 0,
      0, 0, 0, 0) + bytes(45),
    "bitmap of nothing": b"BM" + struct.pack(
      "<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, 0, 0, 1, 24, 0, 0, 0, 0, 0, 0),
    "JPEG of 65,000": b"\xff\xd8\xff\xc0\x00\x11\x08\xfd\xe8\xfd\xe8\x03"
    b"\x01\x11\x00\x02\x11\x00\x03\x11\x00\xff\xd9",
    "WebP": b"RIFF\xff\xff\xff\x7fWEBPVP8L\xff\xff\xff\x7f\x2f" + b"\xff" * 40,
    "nothing": b"",
  }  # fmt: skip


def write(
  folder: pathlib.Path, files: dict[str, bytes], suffix: str
) -> dict[str, pathlib.Path]:
  """Writes files with numbers for names; returns their paths by title."""
  paths = {what: folder / f"{i}{suffix}" for i, what in enumerate(files)}
  for what, path in paths.items():
    path.write_bytes(files[what])
  return paths


if __name__ == "__main__":
  _child()
