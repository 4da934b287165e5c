"""Every config file, with every pair of values of two of its arguments."""

import dataclasses
import itertools
import json
import pathlib

import pytest

from configs import video_vae
from pseudovideo.config import comparing, parsing
from pseudovideo.data import CLIP_SETS, SETS
from tests.configs import config_files as files

ROOT = pathlib.Path(__file__).parents[2]
CASES = [
  (module, options)
  for module in files.ARGUMENTS
  for options in files.covering(files.combinations(module))
]
by_file = pytest.mark.parametrize(
  "module", files.ARGUMENTS, ids=lambda m: m.__name__
)


def test_no_config_file_is_left_out():
  found = {path.stem for path in (ROOT / "configs").glob("*.py")}
  tested = {pathlib.Path(module.__file__).stem for module in files.ARGUMENTS}
  assert found == tested | {"__init__"}
  for module, arguments in files.ARGUMENTS.items():
    for name, values in arguments.items():
      for text in (name, *values):
        assert text in module.__doc__, "the lab note names every choice"


@by_file
def test_every_data_set_has_a_config(module):
  found = {name.partition(":")[0] for name in module.DATASETS}
  assert found - set(CLIP_SETS) == set(SETS)
  assert (module is video_vae) == (found > set(SETS))


@by_file
def test_every_pair_is_covered(module):
  rows = [options for of, options in CASES if of is module]
  arguments = files.ARGUMENTS[module]
  for first, second in itertools.combinations(arguments, 2):
    wanted = set(itertools.product(arguments[first], arguments[second]))
    if (first, second) == ("frames", "augmentation"):
      wanted -= {("1", name) for name in arguments[second]}
    found = {
      (row[first], row[second]) for row in rows if {first, second} <= set(row)
    }
    assert found == wanted
  assert len(rows) <= 45


@by_file
@pytest.mark.parametrize("preset", ["tiny", "small"])
def test_networks_have_parameters(module, preset):
  """The presets `paper` are counted in `test_published_sizes`."""
  options = next(
    options
    for of, options in CASES
    if of is module and options["preset"] == preset
  )
  counts = files.parameters(files.task_of(module, options))
  assert all(counts[name] > 1000 for name in set(counts) - {"log_sigmas"})


@pytest.mark.parametrize(
  ("module", "options"),
  CASES,
  ids=[",".join(options.values()) for _, options in CASES],
)
def test_a_combination_makes_a_task(module, options):
  """Completing it, twice or by way of JSON, changes nothing."""
  raw, shape = files.load(module, options), files.shape_of(module, options)
  short = parsing.parse(raw)
  task = short.make_task(shape)  # Calls the task's check.
  assert short.data.name == options["dataset"]
  assert all(value in short.title for value in options.values())
  full = parsing.complete(raw)
  assert parsing.complete(full) == full
  through_json = json.loads(json.dumps(comparing.to_json(full)))
  parsed = parsing.parse(full)
  assert parsed == parsing.parse(through_json)
  assert parsed.make_task(shape) == task
  assert parsed == dataclasses.replace(short, task_fields=parsed.task_fields)
  assert not comparing.differences(full, through_json)
