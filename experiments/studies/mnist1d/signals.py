"""1-D digits, made in the five steps of the lecture.

  1 digit    every digit becomes a function, one number for every row: the ink
             of the row, averaged over the training images of the digit
  2 augment  scaled in height and skewed
  3 pad      zeros behind it
  4 noise    smooth noise in place of the zeros, white noise everywhere
  5 augment  stretched to a common length, moved, skewed, and read off at 40
             points

The lecture names the steps and no numbers. Those below are the defaults of the
public data set MNIST-1D (Greydanus 2020), which its pictures show; the order of
the steps is the lecture's. MNIST-1D draws its ten functions by hand; ours are
of the digits of `pseudovideo.data.digits`. All signals of a digit, held-out
ones too, come from the same function and differ by steps 2 to 5.
"""

import dataclasses

import numpy as np

from pseudovideo import data, pixels

POINTS = 40
CLASSES = 10
TEMPLATE = 12
PADDING = (36, 60)
STRETCHED = TEMPLATE + PADDING[1]
SCALE = 0.4
SKEW = 0.75
SMOOTH_NOISE = 0.25
SMOOTHING = 2.0
WHITE_NOISE = 0.02
MOST_MOVED = 48
AMPLITUDE = 0.25
"""Standard deviation of every function: our choice, about as in MNIST-1D."""

RANGE = (-1.0, 1.0)
"""What the uint8 values 0 and 255 of an image of a signal stand for."""


@dataclasses.dataclass(frozen=True)
class Signals:
  """Two splits of labelled signals.

  Attributes:
    train: (N, L) float32.
    train_labels: (N,) int32.
    test: (M, L) float32.
    test_labels: (M,) int32.
  """

  train: np.ndarray
  train_labels: np.ndarray
  test: np.ndarray
  test_labels: np.ndarray


def make(num_train: int, num_test: int, seed: int = 0) -> Signals:
  """Signals of the digits 0 .. 9 in turn.

  Args:
    num_train: N; 4,000 in MNIST-1D.
    num_test: M; 1,000 there.
    seed: seed of all draws; signal i, test signals counted after the others,
      depends on (seed, i) only.
  """
  functions = templates(data.load("digits"))
  index = np.arange(num_train + num_test)
  labels = (index % CLASSES).astype(np.int32)
  made = np.stack(
    [
      signal(
        functions[label], np.random.Generator(np.random.Philox(key=[seed, i]))
      )
      for i, label in zip(index, labels, strict=True)
    ]
  ).astype(np.float32)
  return Signals(
    made[:num_train], labels[:num_train], made[num_train:], labels[num_train:]
  )


def templates(image_set: data.ImageSet) -> np.ndarray:
  """Step 1: (10, 12) float64, of mean 0 and standard deviation `AMPLITUDE`."""
  ink = image_set.train_images[..., 0].sum(axis=2, dtype=np.float64)
  means = np.stack(
    [ink[image_set.train_labels == c].mean(0) for c in range(CLASSES)]
  )
  functions = np.stack([resampled(mean, TEMPLATE) for mean in means])
  functions -= functions.mean(1, keepdims=True)
  return AMPLITUDE * functions / functions.std(1, keepdims=True)


def signal(template: np.ndarray, rng: np.random.Generator) -> np.ndarray:
  """Steps 2 to 5: (12,) -> (40,) float64."""
  height, lean, skew = rng.random(3) - 0.5
  x = skewed(scaled(template, height), lean)
  padding = int(rng.integers(PADDING[0], PADDING[1] + 1))
  x = padded(x, padding)
  x = noisy(x, len(template), rng)
  x = moved(resampled(x, STRETCHED), int(rng.integers(MOST_MOVED)))
  return resampled(skewed(x, skew), POINTS)


def scaled(x: np.ndarray, u: float) -> np.ndarray:
  """The signal times 1 + 0.4 u, for u in [-1/2, 1/2]."""
  return x * (1 + SCALE * u)


def skewed(x: np.ndarray, u: float) -> np.ndarray:
  """The signal less a line from -0.375 u to 0.375 u, u in [-1/2, 1/2]."""
  return x - SKEW * u * np.linspace(-0.5, 0.5, len(x))


def padded(x: np.ndarray, num: int) -> np.ndarray:
  """The signal with `num` zeros behind it."""
  return np.concatenate([x, np.zeros(num)])


def noisy(x: np.ndarray, length: int, rng: np.random.Generator) -> np.ndarray:
  """Adds smooth noise from place `length` on, and white noise everywhere."""
  background = SMOOTH_NOISE * smooth_noise(len(x), rng)
  x = np.where(np.arange(len(x)) < length, x, x + background)
  return x + WHITE_NOISE * rng.standard_normal(len(x))


def taps() -> np.ndarray:
  """(17,) weights of the smoothing: a Gaussian up to 4 deviations, sum 1."""
  reach = int(4 * SMOOTHING)
  weights = np.exp(-0.5 * np.square(np.arange(-reach, reach + 1) / SMOOTHING))
  return weights / weights.sum()


def smooth_noise(num: int, rng: np.random.Generator) -> np.ndarray:
  """(num,) white noise under a moving average; the same law at every place."""
  weights = taps()
  white = rng.standard_normal(num + len(weights) - 1)
  return np.convolve(white, weights, mode="valid")


def resampled(x: np.ndarray, num: int) -> np.ndarray:
  """Reads a signal at `num` even distances, first to last, linearly."""
  return np.interp(np.linspace(0, len(x) - 1, num), np.arange(len(x)), x)


def moved(x: np.ndarray, places: int) -> np.ndarray:
  """The signal moved to the right; the end that leaves comes first."""
  return np.roll(x, places)


def to_images(signals: np.ndarray) -> np.ndarray:
  """(N, L) floats -> (N, 1, L, 1) uint8: images of one row."""
  images = pixels.to_uint8(np.asarray(signals), RANGE)
  return images[:, None, :, None]


def from_images(images: np.ndarray) -> np.ndarray:
  """(N, 1, L, 1) uint8 -> (N, L) float32, within 1/255 of what they show."""
  return np.asarray(pixels.to_float(images[:, 0, :, 0], RANGE))
