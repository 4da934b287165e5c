"""Small videos whose frames are known."""

import pathlib

import av
import numpy as np
from PIL import Image


def plain(num: int, size: tuple[int, int] = (20, 16), start: int = 0):
  """Frames of one colour each, which says their numbers: (num, H, W, 3)."""
  levels = np.arange(start, start + num, dtype=np.uint8)[:, None, None, None]
  colour = np.concatenate([levels, 255 - levels, 0 * levels + 7], -1)
  return np.broadcast_to(colour, (num, size[1], size[0], 3))


def numbers(frames: np.ndarray) -> list:
  """The numbers of plain frames in clips (..., T, S, S, 3)."""
  return np.rint(frames[..., 0].mean((-2, -1))).astype(int).tolist()


def write_mp4(
  path: pathlib.Path,
  frames: np.ndarray,
  codec: str = "libx264rgb",
  pixels: str = "rgb24",
  **options: str,
) -> None:
  """Writes H.264 of RGB without loss, if not asked otherwise."""
  options = options or {"qp": "0"}
  with av.open(str(path), "w") as container:
    stream = container.add_stream(codec, 10, options=options)
    stream.height, stream.width = frames.shape[1:3]
    stream.pix_fmt = pixels
    for frame in frames:
      picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame))
      container.mux(stream.encode(picture))
    container.mux(stream.encode())


def write_gif(path: pathlib.Path, frames: np.ndarray) -> None:
  first, *rest = map(Image.fromarray, frames)
  first.save(path, save_all=True, append_images=rest, duration=30)


def write_folder(path: pathlib.Path, frames: np.ndarray) -> None:
  """Names without leading zeros, as many tools write them."""
  path.mkdir(parents=True)
  for i, frame in enumerate(frames):
    Image.fromarray(frame).save(path / f"frame_{i}.png")
