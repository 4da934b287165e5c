"""The command `python -m pseudovideo.convert`."""

import sys

from pseudovideo.commands.convert import main

if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
