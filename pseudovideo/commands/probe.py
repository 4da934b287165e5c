"""The worth of each earlier frame, before any generative training.

  python -m pseudovideo.probe --out=runs/probe \\
      --config=configs/video_diffusion.py:dataset=cifar10,augmentation=high_order

Theorem 4.1 of the paper says that more earlier frames never make the minimal
error of the next one larger. This measures how much smaller they make it, for
the pseudo videos of any config with a section `augmentation` (or of the task
`heat_hvae`): the error of every frame predicted from the last k before it, from
corrupted to clean, for k = 1, 2, .., all; the last frame is the image.

Two predictors, fitted to pseudo videos of training images and scored on
held-out ones. The linear one is the least-squares solution for each pixel from
the --window x --window pixels around it in the given frames, the same
everywhere; pixels at the edge are left out. The network is a small
convolutional one with the same windows that corrects the linear one, trained
for --steps updates. Both are upper bounds of the minimal error. A corruption
that draws nothing and loses nothing, such as a blur, has a minimal error of
zero: what is measured there is what predictors of this window can do. Shares of
errors far below the rounding of 8-bit images, (range / 255)^2 / 12, are shares
of nothing.

Several --config are ranked by what frames beyond the previous one save; they
must be of one data set. --config.FIELD=VALUE changes a field of all of them.
--out gets probe.json and probe.html.
"""

import functools
import pathlib
import sys
import time
from collections.abc import Sequence
from typing import Any

from absl import flags, logging

from pseudovideo import errors
from pseudovideo.files import writable
from pseudovideo.probe.settings import Settings
from pseudovideo.terminal import command_line, run_flags

DEFAULTS = Settings()


def define_flags() -> flags.FlagValues:
  """The flags, apart from --config."""
  values = flags.FlagValues()
  for name, default, meaning in (
    (
      "videos",
      DEFAULTS.num,
      "Fit to so many pseudo videos, and score as many held-out ones.",
    ),
    (
      "window",
      DEFAULTS.window,
      "Predict from windows of this side, an odd number of pixels.",
    ),
    (
      "steps",
      DEFAULTS.steps,
      "Train every network for so many updates; 0: no networks.",
    ),
    (
      "networks",
      DEFAULTS.networks,
      "Train so many networks per frame and k, with different seeds.",
    ),
    ("seed", DEFAULTS.seed, "Draw the corruption from this seed."),
  ):
    flags.DEFINE_integer(name, default, meaning, flag_values=values)
  run_flags.define_data_dir(values)
  flags.DEFINE_string(
    "out", None, "Write numbers and charts to this folder.", flag_values=values
  )
  return values


def parse(argv: Sequence[str]) -> tuple[flags.FlagValues, list[Any]]:
  """The flags, and one config for every --config.

  Raises:
    UserError: anything that is unknown or has a wrong type, or no config.
  """
  specs: list[str] = []
  rest: list[str] = []
  arguments = iter(argv)
  for argument in arguments:
    if argument == "--config":
      argument = f"--config={next(arguments, '')}"
    (specs if argument.startswith("--config=") else rest).append(argument)
  if not specs:
    raise errors.UserError(
      "Say which pseudo videos to probe, as in "
      "--config=configs/video_diffusion.py:augmentation=high_order."
    )
  configs = []
  for spec in specs:
    values = define_flags()
    configs.append(command_line.parse([spec, *rest], values))
  return values, configs


def settings_of(values: flags.FlagValues) -> Settings:
  """The numbers, checked.

  Raises:
    UserError: one is too small.
  """
  least = {"videos": 2, "steps": 0, "networks": 1, "seed": 0}
  for name, number in least.items():
    value: Any = values[name].value
    if value < number:
      raise errors.UserError(
        f"--{name} must be at least {number}; got {value}."
      )
  return Settings(
    values.videos, values.window, values.steps, values.networks, values.seed
  )


def one_data_set(configs: Sequence[Any]) -> str:
  """The name of the data set of all configs.

  Raises:
    UserError: there are several, or it holds clips.
  """
  from pseudovideo import data

  names = list(dict.fromkeys(config.data.name for config in configs))
  if len(names) > 1:
    raise errors.UserError(
      f"Augmentations are compared on one data set; got {', '.join(names)}."
    )
  if data.clip_frames(names[0]):
    raise errors.UserError(
      f"A probe is of pseudo videos of images; the data set {names[0]!r} holds "
      "clips of videos, so choose one of images."
    )
  return names[0]


def run(argv: Sequence[str]) -> int:
  """Measures, prints and writes; returns the exit code."""
  # Imported late, so that --help is answered at once.
  from pseudovideo import data
  from pseudovideo.probe import linear, measure, report, videos
  from pseudovideo.runs import results

  values, configs = parse(argv)
  settings = settings_of(values)
  name = one_data_set(configs)
  if values.out:
    writable.check(pathlib.Path(values.out, "probe.json"))
  command_line.set_up()
  image_set = data.load(name, data_dir=values.data_dir)
  linear.check_window(settings.window, image_set.image_shape)
  sources = [videos.source(config, image_set) for config in configs]
  print(report.about(settings._asdict(), name))
  begin, found = time.monotonic(), []
  for source in sources:
    made = videos.make(
      source.task, image_set, num=settings.num, seed=settings.seed
    )
    measured = measure.measure(
      made, settings, functools.partial(logging.info, "%s: %s", source.label)
    )
    found.append({"label": source.label, "section": source.section, **measured})
    print(f"\n{source.label}\n{report.text(report.frame_table(found[-1]))}")
  print(f"\n{report.text(report.ranking(found))}")
  print(report.RULE, report.cost(found), sep="\n")
  if values.out:
    record = {
      "title": f"What earlier frames are worth on {name}",
      "data": name,
      "fingerprint": image_set.fingerprint,
      "settings": settings._asdict(),
      "augmentations": found,
      "wall_seconds": time.monotonic() - begin,
      "provenance": results.provenance(),
    }
    out = pathlib.Path(values.out)
    results.write_json(out / "probe.json", record)
    page = report.write_page(out / "probe.html", record)
    print(f"Numbers are in {out / 'probe.json'}, charts in {page}.")
  return 0


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return command_line.answer(run, argv, __doc__, define_flags())


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
