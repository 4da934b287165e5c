"""The command `python -m experiments.probe_ranking`."""

import sys

from experiments.studies.probe_ranking import main

if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
