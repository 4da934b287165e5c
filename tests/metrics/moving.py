"""Clips whose motion is known."""

import numpy as np
from scipy import ndimage

SIZE = 64


def texture(seed: int, size: int = 96) -> np.ndarray:
  """(size, size) grey values 30 .. 220, smooth, periodic."""
  noise = np.random.default_rng(seed).normal(size=(size, size))
  picture = ndimage.gaussian_filter(noise, 2, mode="wrap")
  return 30 + 190 * (picture - picture.min()) / np.ptp(picture)


def as_clip(frames: list[np.ndarray], channels: int = 3) -> np.ndarray:
  frames = np.rint(frames).astype(np.uint8)[..., None]
  return np.repeat(frames, channels, -1)


def pan(velocity: tuple[float, float], num: int = 4) -> np.ndarray:
  """A texture moved as a whole, by the theorem of Fourier shifts."""
  spectrum = np.fft.fft2(texture(0))
  frames = [
    np.fft.ifft2(
      ndimage.fourier_shift(spectrum, np.multiply(i, velocity))
    ).real.clip(0, 255)[:SIZE, :SIZE]
    for i in range(num)
  ]
  return as_clip(frames)


def square(velocity: int, num: int = 3) -> np.ndarray:
  """A square of 24 x 24, moving to the right before a still background."""
  frames = []
  for i in range(num):
    frame = texture(1)[:SIZE, :SIZE].copy()
    left = 12 + i * velocity
    frame[20:44, left : left + 24] = texture(2)[:24, :24]
    frames.append(frame)
  return as_clip(frames)
