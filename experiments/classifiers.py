"""The command `python -m experiments.classifiers`."""

import sys

from experiments.studies.classifiers import main

if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
