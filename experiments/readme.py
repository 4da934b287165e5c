"""The command `python -m experiments.readme`."""

import sys

from experiments.publishing.readme import main

if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
