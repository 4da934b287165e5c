"""The command `python -m experiments.show_augmentations`."""

import sys

from experiments.studies.show_augmentations import main

if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
