"""The command `python -m pseudovideo.data.prepare`."""

import sys

from pseudovideo.commands.prepare import main

if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
