"""What a task says that it can do, and what it needs."""

import types

import pytest

from pseudovideo import errors, tasks
from pseudovideo.first_stages import given
from pseudovideo.tasks import base


def task(**attributes):
  return types.SimpleNamespace(**attributes)


def act(*_):
  raise NotImplementedError


def test_every_task_has_what_it_names():
  for cls in tasks.TABLE.values():
    base.check_abilities(cls)
    assert base.can(cls, "reconstruct") != hasattr(cls, "sample")


@pytest.mark.parametrize(
  ("attributes", "words"),
  [
    ({}, "has no method 'sample'"),
    ({"sample": act, "abilities": "encode"}, "must be a tuple of names"),
    ({"sample": act, "abilities": ("fly",)}, "ability of .* named 'fly'"),
    ({"sample": act, "abilities": ("encode",)}, "names the ability 'encode'"),
    ({"abilities": ("reconstruct",)}, "has no method of that name"),
  ],
)
def test_what_cannot_be_is_refused(attributes, words):
  with pytest.raises(errors.UserError, match=words):
    base.check_abilities(task(**attributes))


def test_a_task_that_names_nothing_draws_samples():
  plain = task(sample=act)
  base.check_abilities(plain)
  assert not any(base.can(plain, ability) for ability in base.ABILITIES)
  assert given.arrays(plain, None) == {}
  assert base.discriminator_optimizer(plain) is None
  assert base.channels_field(types.SimpleNamespace) is None
  assert base.declared(plain, "derived") == ()


def test_unknown_needs_are_refused():
  with pytest.raises(
    errors.UserError, match=r"tokens.*did you mean 'tokenizer'"
  ):
    given.arrays(task(needs=("tokens",)), None)


def test_examples_may_be_the_tasks_own():
  own = base.Examples("words", [1, 2], [3])
  taught = task(
    abilities=("examples",), examples=lambda extra, image_set, batch_size: own
  )
  assert given.examples(taught, {}, None, batch_size=2) is own
