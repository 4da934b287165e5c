"""Files of safetensors that attack their reader, in bytes."""

import json

DEEP = b"[" * 200_000 + b"]" * 200_000


def entry(dtype, shape, *places) -> dict:
  """The entry of one array in a header."""
  return {"dtype": dtype, "shape": shape, "data_offsets": list(places)}


def file(header, data: bytes = b"\0") -> bytes:
  """A file with that header, bytes or what JSON can write."""
  text = header if isinstance(header, bytes) else json.dumps(header).encode()
  return len(text).to_bytes(8, "little") + text + data


def all_kinds() -> dict[str, tuple[bytes, str]]:
  """Files, and parts of the sentences about them, by their faults."""
  text = b'{"a": {"dtype": "U8", "shape": %s, "data_offsets": [%s, %s]}}'
  pair = {"a": entry("F32", [2], 0, 8)}
  headers = {
    "deep": b'{"a": ' + DEEP + b"}",
    "deep metadata": b'{"__metadata__": ' + DEEP + b"}",
    "deep mappings": b'{"a":' * 200_000 + b"1" + b"}" * 200_000,
    "unclosed": b'{"a": ',
    "no mapping in it": b'{"a": 3}',
    "long shape": text % (b"[" + b"9," * 500_000 + b"9]", b"0", b"9"),
    "a long number": text % (b"[" + b"9" * 50_000 + b"]", b"0", b"1"),
    "NaN": text % (b"[NaN]", b"0", b"1"),
    "many lists": b'{"a": [' + b"[]," * 500_000 + b"0]}",
    "a long name": b'{"' + b"a" * 1_000_000 + b'": 1}',
    "escapes": b'{"\\u001b[31m\\n": 1}',
    "no UTF-8": b'{"\xff": 1}',
    "too many axes": {"a": entry("U8", [1] * 100, 0, 1)},
    "empty and large": {"a": entry("U8", [0, 2**62, 2**62], 0, 0)},
    "beyond the file": {"a": entry("U8", [10**12], 0, 10**12)},
    "shape of more than its bytes": {"a": entry("F32", [10**15], 0, 1)},
    "backwards": {"a": entry("U8", [2], 1, 0)},
    "negative": {"a": entry("F32", [-2, -1], 0, 1)},
    "a truth for a size": {"a": entry("U8", [True], 0, 1)},
    "no shape": {"a": {"dtype": "F32"}},
    "overlapping": pair | {"b": entry("F32", [2], 4, 12)},
    "with a gap": {"a": entry("U8", [1], 0, 1), "b": entry("U8", [1], 2, 3)},
    "too few bytes": pair,
  }
  found = {what: (file(header), "") for what, header in headers.items()}
  return found | {
    "too many bytes": (file(pair, bytes(12)), ""),
    "another type": (
      file({"a": entry("F8_E4M3", [2], 0, 2)}, bytes(2)),
      "of a type that numpy lacks",
    ),
    "a header beyond its end": (
      (2**60).to_bytes(8, "little") + b"{}",
      f"would have {2**60} bytes",
    ),
  }
