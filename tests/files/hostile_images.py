"""Files of images that attack their reader, in bytes."""

import struct
import zlib


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
