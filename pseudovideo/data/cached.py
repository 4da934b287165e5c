"""The command `python -m pseudovideo.data.cached`."""

import sys

from pseudovideo.commands.cached import main

if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
