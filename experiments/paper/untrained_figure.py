"""Figures of a data set alone, which need no training."""

import pathlib
from collections.abc import Callable, Sequence

import numpy as np

from experiments.running import commands
from pseudovideo import errors
from pseudovideo.report import drawing
from pseudovideo.terminal import command_line

Picture = Callable[..., np.ndarray]


def main(name: str, picture: Picture, doc: str, argv: Sequence[str]) -> int:
  """The command of a figure: run draws it, report says where it is.

  Args:
    name: name of the figure; the picture is ROOT/figures/NAME_DATASET.png.
    picture: (name of a data set, data_dir=...) -> (H, W, 3) uint8.
    doc: text that --help prints above the flags.
    argv: arguments, without the program.

  Returns:
    The exit code.
  """

  def path(values: commands.Values) -> pathlib.Path:
    dataset = values.dataset.partition(":")[0]
    return pathlib.Path(values.root, "figures", f"{name}_{dataset}.png")

  def run(values: commands.Values) -> int:
    command_line.set_up()
    drawing.save_png(
      path(values), picture(values.dataset, data_dir=values.data_dir)
    )
    return report(values)

  def report(values: commands.Values) -> int:
    if not path(values).exists():
      raise errors.UserError(
        f"There is no {path(values)} yet; draw it with run instead of report."
      )
    print(path(values))
    return 0

  return commands.main(
    {
      "run": commands.Command(("dataset", "root", "data_dir"), run),
      "report": commands.Command(("dataset", "root"), report),
    },
    doc,
    argv,
  )
