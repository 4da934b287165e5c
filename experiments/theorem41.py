"""The command `python -m experiments.theorem41`."""

import sys

from experiments.studies.theorem41 import main

if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
