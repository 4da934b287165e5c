"""The command `python -m experiments.demo`."""

import sys

from experiments.studies.demo import main

if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
