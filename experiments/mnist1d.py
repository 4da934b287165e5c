"""The command `python -m experiments.mnist1d`."""

import sys

from experiments.studies.mnist1d.__main__ import main

if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
