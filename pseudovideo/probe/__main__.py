"""The command `python -m pseudovideo.probe`."""

import sys

from pseudovideo.commands.probe import main

if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
