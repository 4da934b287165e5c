"""The command `python -m pseudovideo.metrics`."""

import sys

from pseudovideo.commands.score import main

if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
