"""No field of a config without code that reads it.

Every class that a config fills records which of its fields are read while its
task is made, traced, trained, sampled and scored. Reads by checks do not count:
they alter nothing.
"""

import copy
import dataclasses
import sys

import pytest

from pseudovideo import fields, runs
from pseudovideo.config import filling, parsing
from pseudovideo.evaluation import evaluate
from pseudovideo.pretrained import perceptual_features
from pseudovideo.training import loop
from tests import traced_tasks
from tests.config import test_ranges
from tests.tasks import small_vaes

# Read where a first stage is looked up, see tests/first_stages.
LOOKED_UP = {"workdir", "hash", "config", "tokens", "start"}


class Recorded:
  """A field that notes when the package reads it; reads by checks aside."""

  def __init__(self, name, seen):
    self._name, self._seen = name, seen

  def __get__(self, owner, cls=None):
    if owner is None:
      raise AttributeError(self._name)
    code = sys._getframe(1).f_code
    checks = code.co_name.lstrip("_").startswith(("check", "post_init"))
    if "pseudovideo" in code.co_filename and not checks:
      self._seen.add(self._name)
    return vars(owner)[self._name]

  def __set__(self, owner, value):
    vars(owner)[self._name] = value


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
  """(section, class) -> the names that were read of it."""
  classes = {cls for _, cls in test_ranges.OWNERS}
  found = {cls: set() for cls in classes}
  with pytest.MonkeyPatch.context() as patch:
    toy = small_vaes.toy_features()
    patch.setitem(perceptual_features.FEATURES, "toy", toy)
    for cls in classes:
      for name in fields.named_fields(cls):
        patch.setattr(cls, name, Recorded(name, found[cls]), raising=False)
    run_once(tmp_path_factory.mktemp("read"))
    for raw, shape in test_ranges.some_configs():
      left = unread(found, filling.schemas_of(raw))
      if not left:
        continue
      if "model" not in dict(left) and "diffusion" in raw["task"]["name"]:
        # The fields of the network have been read.
        raw["model"] |= dict(multipliers=(1,), attention=())
      if "perceptual" in raw["task"] and shape == (8, 8, 1):
        raw["task"]["perceptual"] = "toy"
      config = parsing.parse(raw)
      task = config.make_task(shape)
      traced_tasks.trace(config, task, traced_tasks.optimizer(config, task))
  return found


def unread(seen, schemas):
  """(section, field) of what nobody has read so far."""
  return {
    (section, name)
    for section, (cls, left_out) in schemas.items()
    for name in fields.named_fields(cls, left_out)
    if name not in LOOKED_UP
    and not any(name in seen[c] for c in seen if issubclass(c, cls))
  }


def run_once(folder):
  """Trains, samples and scores, which reads the sections that all have."""
  raw, _ = next(test_ranges.some_configs())
  raw = copy.deepcopy(raw)
  raw["train"] |= dict(steps=3, grid=2, eval_every=3)
  raw["model"] |= dict(multipliers=(1,), attention=())
  raw["task"]["levels"] = 2
  raw["evaluate"] |= dict(num_samples=8, batch_size=8, metrics="FD")
  loop.train(raw, folder)
  evaluate.evaluate(runs.restore(folder))


@pytest.mark.slow("traces every task")
def test_every_field_is_read(seen):
  for (section, cls), (_, _, left_out) in test_ranges.OWNERS.items():
    assert not unread(seen, {section: (cls, left_out)}), cls


def test_what_is_read_by_checks_alone_is_noticed():
  @dataclasses.dataclass(frozen=True)
  class Toy:
    unread: int = 3

  seen = set()
  Toy.unread = Recorded("unread", seen)
  toy = Toy(4)
  for source in ("def check(t): t.unread\ncheck(toy)", "toy.unread"):
    assert not seen
    exec(compile(source, "pseudovideo/toy", "exec"), {"toy": toy})
  assert seen == {"unread"}
