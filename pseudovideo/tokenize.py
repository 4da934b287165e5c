"""The command `python -m pseudovideo.tokenize`."""

import sys

from pseudovideo.commands.tokenize import main

if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
