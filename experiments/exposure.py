"""The command `python -m experiments.exposure`."""

import sys

from experiments.studies.exposure import main

if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
