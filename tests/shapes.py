"""Height, width and channels of the images of every data set."""

SHAPES = {
  "digits": (8, 8, 1),
  "mnist": (28, 28, 1),
  "cifar10": (32, 32, 3),
  "celeb_a": (64, 64, 3),
  # Not square, and 48 is no power of two.
  "folder:PATH": (48, 32, 3),
}
