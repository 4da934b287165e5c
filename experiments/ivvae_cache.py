"""The command `python -m experiments.ivvae_cache`."""

import sys

from experiments.studies.ivvae_cache import main

if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
