"""Files of arrays that attack their reader, in bytes."""

import io
import pickle
import struct
import zipfile
import zlib

import numpy as np

from tests.files.hostile_pickles import Evil

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
    "negative": shaped("(-1, -2, 2, 1)"),
    "overflow": shaped("(4294967296, 4294967296, 1, 1)"),
    "long number": shaped(f"({'9' * 5000}, 1, 1, 1)"),
    "no tuple": shaped("4"),
    "no shape": b"{'descr': '|u1', 'fortran_order': False}",
    "code": b"__import__('os').system('touch " + str(trace).encode() + b"')",
    "deep": b"(" * 5000,
    "nothing": b"",
    "void": shaped("(1, 2, 2, 1)", "'|V0'"),
    "text": shaped("(1, 1, 1, 1)", "'<U1'"),
    "fields": shaped("(1, 1, 1, 1)", "[('a', '<f4')]"),
    "unknown": shaped("(1, 2, 2, 1)", "'bomb'"),
  }
  files = {what: in_zip(images=npy(h)) for what, h in headers.items()}
  files |= {
    "objects": in_zip(images=objects(f"touch {trace}")),
    "pickle": in_zip(images=pickle.dumps(Evil(f"touch {trace}"))),
    "magic": in_zip(images=b"\x93NUMPZ" + npy()[6:]),
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
