"""Downloads an official data set and writes it in ArrayRecord form.

  python -m pseudovideo.data.prepare cifar10 --data_dir=DIR

TFDS encodes the images with TensorFlow, so this needs the extra `prepare`
(`make install EXTRA=prepare`); reading the result does not.
"""

import argparse
import importlib.util
import pathlib
import sys
from collections.abc import Sequence

from pseudovideo import errors
from pseudovideo.data import tfds_sets
from pseudovideo.terminal import command_line

FILE_FORMAT = "array_record"


def prepare(name: str, data_dir: pathlib.Path) -> pathlib.Path:
  """Downloads `name` and writes it below `data_dir`, unless it is there.

  Returns:
    The folder of the set.

  Raises:
    UserError: TensorFlow or TFDS is missing, the set is there in another
      format, or the download failed.
  """
  for module in ("tensorflow_datasets", "tensorflow"):
    if importlib.util.find_spec(module) is None:
      raise errors.UserError(
        f"Preparing {name!r} needs {module}, which is not installed; run: "
        "make install EXTRA=prepare"
      )
  import tensorflow_datasets as tfds
  from tensorflow_datasets.core.download import download_manager, util

  try:
    builder = tfds.builder(name, data_dir=data_dir, file_format=FILE_FORMAT)
  except ValueError as error:
    raise errors.UserError(
      f"{data_dir} already holds {name!r} in another form than "
      f"{FILE_FORMAT} ({error}); choose another --data_dir."
    ) from error
  try:
    builder.download_and_prepare()
  except (
    OSError,  # no network, no room
    util.DownloadError,
    download_manager.NonMatchingChecksumError,
  ) as error:
    raise errors.UserError(
      f"Preparing {name!r} in {data_dir} failed ({type(error).__name__}: "
      f"{error}); check the network and the free space, then run it again."
    ) from error
  return pathlib.Path(builder.data_dir)


def run(arguments: Sequence[str]) -> int:
  """Does what the arguments say; returns the exit code."""
  parser = argparse.ArgumentParser(
    prog="python -m pseudovideo.data.prepare",
    description="Downloads a data set and writes it in ArrayRecord form.",
  )
  parser.add_argument("name", choices=sorted(tfds_sets.NAMES))
  parser.add_argument(
    "--data_dir",
    help="write the set to this folder; $PSEUDOVIDEO_DATA_DIR, or TFDS's own, "
    "if absent",
  )
  options = parser.parse_args(arguments)
  folder = prepare(options.name, tfds_sets.find_data_dir(options.data_dir))
  print(f"{options.name} is in {folder}")
  return 0


def main(arguments: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return command_line.exit_code(run, arguments)


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
