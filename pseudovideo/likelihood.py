"""The command `python -m pseudovideo.likelihood`."""

import sys

from pseudovideo.commands.bits_per_dim import main

if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
