"""Height, width and channels of the images of every data set."""

from pseudovideo.data import named

SHAPES = {
  **{name: facts.image_shape for name, facts in named.FACTS.items()},
  # Not square, and 48 is no power of two.
  "folder:PATH": (48, 32, 3),
}
