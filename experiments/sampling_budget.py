"""The command `python -m experiments.sampling_budget`."""

import sys

from experiments.studies.sampling_budget.__main__ import main

if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
