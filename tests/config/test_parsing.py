"""Checked configs: what is accepted, what is refused and in which words."""

import copy
import dataclasses
import json
from typing import Annotated, Literal

import annotated_types
import ml_collections
import numpy as np
import pytest

from configs import hvae, tokenizer, video_diffusion
from pseudovideo import augmentations, errors, fields
from pseudovideo.config import comparing, parsing

DIGITS = (8, 8, 1)


@dataclasses.dataclass
class Ranges:
  share: Annotated[float, annotated_types.Interval(ge=0, le=1)] = 0.5
  either: int | float | None = None
  noted: Annotated[int, "a note, no bound"] = 3
  places: tuple[Literal["down", "middle"], ...] = ()


@dataclasses.dataclass
class Toy:
  count: int
  rate: float = 0.5
  flag: bool = True
  name: str = "a"
  sizes: tuple[int, ...] = (1, 2)
  rates: tuple[float, ...] = ()
  limit: int | None = None


SYSTEMS = {
  "heat": (hvae, "encoder=heat"),
  "learned": (hvae, "encoder=learned"),
  "image": (video_diffusion, "frames=1"),
  "video": (video_diffusion, "frames=4"),
}


def tiny(system="heat"):
  module, argument = SYSTEMS[system]
  return parsing.complete(module.get_config(f"preset=tiny,{argument}"))


def changed(path, value, system="heat"):
  raw = tiny(system)
  section, field = path.split(".")
  raw[section][field] = value
  return raw


def checked(field, given):
  return fields.read_section(Toy, {"count": 1, field: given}, "toy")


def refused(field, given):
  with pytest.raises(errors.UserError) as caught:
    checked(field, given)
  assert f"toy.{field}" in str(caught.value)
  return str(caught.value)


def test_values_that_fit():
  for field, given, expected in (
    ("count", 3, 3),
    ("rate", 3, 3.0),
    ("rate", 0.25, 0.25),
    ("flag", False, False),
    ("name", "b", "b"),
    ("sizes", [3, 4], (3, 4)),
    ("sizes", (), ()),
    ("rates", (1, 2.5), (1.0, 2.5)),
    ("limit", None, None),
    ("limit", 4, 4),
  ):
    found = checked(field, given)[field]
    assert repr(found) == repr(expected), "equal, and of equal type"


@pytest.mark.parametrize(
  ("field", "values", "words"),
  [
    ("count", (3.0, True, "3", None), "integer"),
    ("rate", ("fast", True, float("nan"), float("inf")), "finite number"),
    ("flag", (1, "True", None), "True or False"),
    ("name", (1, None), "string"),
    ("sizes", (3, (1, "a"), (1, 2.0), ((1,),), "12"), "tuple"),
    ("limit", (1.5, False), "None, or an integer"),
  ],
)
def test_values_of_another_type(field, values, words):
  for value in values:
    said = refused(field, value)
    assert words in said and repr(value) in said


def test_numbers_that_arrays_would_change():
  for field, value, words in (
    ("count", 2**32, "an integer with a magnitude below 2**32"),
    ("limit", -(2**40), "2**32"),
    ("sizes", (1, 2**32), "2**32"),
    ("rate", 10**400, "finite"),
    ("rate", 10**300, "inf"),
    ("rate", 1e39, "inf"),
    ("rate", -1e39, "-inf"),
    ("rate", 1e-39, "1e-39"),
    ("rate", 1 - 1e-9, "to 1;"),
    ("rates", (0.5, 1e-50), "1e-50"),
  ):
    said = refused(field, value)
    assert words in said and len(said) < 200, "also of a long number"


def test_numbers_that_arrays_hold():
  for rate in (0.0, 1.0, 1e-37, 3e38, -1, 1 - 1e-6, 0.1):
    assert checked("rate", rate)["rate"] == rate


def test_long_values_are_shortened_in_messages():
  for value in ("x" * 10_000, 10**1000, list(range(1000))):
    assert len(refused("count", value)) < 200
  with pytest.raises(errors.UserError) as caught:
    parsing.parse(changed("data.binarize", "x" * 10_000))
  assert len(str(caught.value)) < 300


def test_ranges_as_users_write_them():
  for field, value, expected in (
    ("share", 1, 1.0),
    ("share", np.float64(0.25), 0.25),
    ("either", 3, 3),
    ("either", 2.5, 2.5),
    ("noted", np.int64(7), 7),
    ("places", ["down"], ("down",)),
  ):
    (found,) = fields.read_section(Ranges, {field: value}, "toy").values()
    assert found == expected and type(found) is type(expected)
  for field, value, words in (
    ("share", 1.5, r"toy.share must be a finite number from 0 to 1; got 1.5"),
    ("places", ("midle",), "did you mean 'middle'"),
  ):
    with pytest.raises(errors.UserError, match=words):
      fields.read_section(Ranges, {field: value}, "toy")


def test_numpy_numbers_become_plain_ones():
  raw = changed("train.seed", np.int64(7))
  config = parsing.parse(raw)
  assert config.train.seed == 7 and type(config.raw["train"]["seed"]) is int


def test_channels_follow_from_the_data_and_are_saved():
  raw = parsing.complete(tokenizer.get_config("preset=tiny"))
  config = parsing.parse(raw)
  assert config.raw["model"]["channels"] is None
  for channels in (1, 3):
    shape = (8, 8, channels)
    assert config.make_task(shape).model.channels == channels
    resolved = config.resolved(shape)
    assert resolved.raw["model"]["channels"] == channels
    assert resolved.resolved((8, 8, 2)) is resolved
    assert not comparing.differences(resolved.raw, config.raw)
  with pytest.raises(
    errors.UserError, match="channels of the images, 1; got 3"
  ):
    resolved.make_task((8, 8, 1))


def test_names_of_earlier_versions_are_translated():
  raw = changed("data.binarize", "threshold")
  raw["task"]["last_step"] = "bernoulli"
  del raw["task"]["reconstruction_likelihood"]
  config = parsing.parse(raw)
  assert config.task_fields["reconstruction_likelihood"] == "bernoulli"
  raw["task"]["reconstruction_likelihood"] = "gaussian"
  config = parsing.parse(raw)
  assert config.task_fields["reconstruction_likelihood"] == "gaussian"


def test_fields_that_nobody_can_set_any_more_may_be_none():
  raw = changed("model.out_channels", None, "image")
  assert parsing.parse(raw) == parsing.parse(tiny("image"))
  with pytest.raises(errors.UserError, match="out_channels follows from"):
    parsing.parse(changed("model.out_channels", 2, "image"))


def test_a_config_cannot_be_changed():
  config = parsing.parse(tiny("video"))
  before = config.json
  config.raw["train"]["steps"] = 5
  assert config.raw["train"]["steps"] == tiny("video")["train"]["steps"]
  with pytest.raises(TypeError):
    config.task_fields["context"] = 3
  run = {"train": {"seed": 3}}
  source = fields.read({"run": run}, dict, "tokenizer.config")
  with pytest.raises(TypeError):
    source["run"]["train"]["seed"] = 4
  assert config.json == before


def test_equal_configs_have_equal_hashes():
  config = parsing.parse(tiny("video"))
  again = parsing.parse(config.raw)
  other = config.replaced("train", seed=9)
  assert len({config, again, other}) == 2
  assert other.train.seed == 9 and other.task_fields == config.task_fields


@pytest.mark.parametrize(
  ("section", "values", "words"),
  [
    ("nosuch", {"a": 1}, ["'nosuch'", "augmentation, data"]),
    ("title", {}, ["'title'", "augmentation, data"]),
    ("train", {"stpes": 1}, ["'stpes'", "'steps'"]),
    ("train", {"steps": 0}, ["train.steps"]),
  ],
)
def test_what_cannot_be_replaced(section, values, words):
  with pytest.raises(errors.UserError) as caught:
    parsing.parse(tiny("video")).replaced(section, **values)
  assert all(word in str(caught.value) for word in words)


def test_changes_by_the_path_of_a_field():
  raw = tiny("video")
  config = parsing.parse(
    raw,
    {
      "augmentation.name": "heat",
      "augmentation.sigma_max": 7.0,
      "train.steps": lambda steps: 2 * steps,
      "title": "another",
    },
  )
  assert config.task_fields["augmentation"] == augmentations.make(
    "heat", frames=raw["augmentation"]["frames"], sigma_max=7.0
  )
  assert config.train.steps == 2 * raw["train"]["steps"]
  assert config.title == "another"
  for path in ("train", "train.stpes", "trian.steps", "title.x", "train.a.b"):
    with pytest.raises(errors.UserError):
      parsing.parse(raw, {path: 3})


def test_missing_and_unknown_fields():
  with pytest.raises(errors.UserError, match=r"lacks the field toy\.count"):
    fields.read_section(Toy, {}, "toy")
  with pytest.raises(errors.UserError, match="did you mean 'count'"):
    fields.read_section(Toy, {"conut": 1}, "toy")
  # What is given otherwise is not for the config.
  assert fields.read_section(Toy, {}, "toy", ("count",)) == {}
  with pytest.raises(errors.UserError, match="no field of toy named 'count'"):
    fields.read_section(Toy, {"count": 1}, "toy", ("count",))


def test_a_parsed_config_holds_what_was_given():
  raw = changed("train.seed", 7)
  config = parsing.parse(raw)
  assert config.title == raw["title"]
  assert dataclasses.asdict(config.train) == raw["train"]
  assert dataclasses.asdict(config.data) == raw["data"]
  assert dataclasses.asdict(config.optimizer) == raw["optimizer"]
  assert dataclasses.asdict(config.evaluate) == raw["evaluate"]
  task = config.make_task(DIGITS)
  assert task.image_shape == DIGITS
  assert task.levels == raw["task"]["levels"]
  assert task.model.multipliers == tuple(raw["model"]["multipliers"])


def test_defaults_are_written_out_and_given_values_stay():
  raw = hvae.get_config("preset=tiny")
  before = copy.deepcopy(comparing.plain(raw))
  full = parsing.complete(raw)
  assert comparing.plain(raw) == before, "the argument is left alone"
  assert full["optimizer"]["b2"] == 0.999
  for section, values in before.items():
    if section != "title":
      assert values.items() <= full[section].items()


def test_a_section_may_lack():
  for section, said in (("data", "data.name"), ("task", "task.name")):
    raw = tiny()
    del raw[section]
    with pytest.raises(errors.UserError, match=said):
      parsing.parse(raw)


@pytest.mark.parametrize(
  ("change", "words"),
  [
    ({"trian": {}}, ["'trian'", "'train'"]),
    ({"train": 3}, ["train", "3"]),
    ({"title": 3}, ["title", "3"]),
    ({"encoder": {"channels": 8}}, ["'encoder'"]),
    ({"task": {}}, ["task.name", "heat_hvae, image_diffusion"]),
    ({"task": {"name": "heat_hvae", "nme": 3}}, ["'nme'", "'name'"]),
    ({"task": {"name": ["heat_hvae"]}}, ["heat_hvae, image_diffusion"]),
  ],
)
def test_wrong_sections(change, words):
  with pytest.raises(errors.UserError) as caught:
    parsing.parse(tiny() | change)
  assert all(word in str(caught.value) for word in words)


def test_defaults_cannot_be_added_to_what_is_no_config():
  for change in ({"train": 3}, {"title": 3}, {"task": {"name": "hvae"}}):
    with pytest.raises(errors.UserError):
      parsing.complete(tiny() | change)


@pytest.mark.parametrize(
  ("path", "value", "words"),
  [
    ("train.accumulate", 3, ["train.batch_size", "3 and 16"]),
    ("optimizer.warmup_steps", 8, ["train.steps", "8 and 8"]),
    ("train.stpes", 3, ["'stpes'", "'steps'"]),
  ],
)
def test_what_does_not_go_together(path, value, words):
  with pytest.raises(errors.UserError) as caught:
    parsing.parse(changed(path, value))
  assert all(word in str(caught.value) for word in words)


# Sections of the diffusion tasks.


@pytest.mark.parametrize(
  ("path", "value", "words"),
  [
    ("process.stpes", 10, ["process", "'stpes'", "'steps'"]),
    ("augmentation.sigma_min", 0.1, ["augmentation", "'sigma_min'"]),
    ("sampler.eta", 0.5, ["sampler.eta", "'ancestral'"]),
    ("sampler.respacing", "4/4", ["'4/4'", "2 stages", "3"]),
    ("sampler.respacing", "50", ["50 steps", "40"]),
    ("augmentation.frames", 1, ["at least 2", "'identity'"]),
    ("task.context", 5, ["4 frames", "5"]),
  ],
)
def test_mistakes_in_the_sections_of_a_video(path, value, words):
  with pytest.raises(errors.UserError) as caught:
    parsing.parse(changed(path, value, "video")).make_task(DIGITS)
  assert all(word in str(caught.value) for word in words)


def test_an_augmentation_is_built_from_its_name_and_fields():
  raw = changed("augmentation.beta_max", 0.1, "video")
  task = parsing.parse(raw).make_task(DIGITS)
  assert task.augmentation == augmentations.make(
    "high_order", frames=4, beta_max=0.1
  )
  # Other augmentations have other fields, which `complete` writes out.
  raw["augmentation"] = {"name": "blur", "frames": 4}
  full = parsing.complete(raw)["augmentation"]
  padding = augmentations.make("blur").padding
  expected = {"name": "blur", "frames": 4, "rate": None, "padding": padding}
  assert full == expected


@pytest.mark.parametrize("section", ["process", "sampler"])
def test_sections_with_defaults_only_may_be_left_out(section):
  raw = tiny("video")
  raw["sampler"]["respacing"] = ""
  del raw[section]
  task = parsing.parse(raw).make_task(DIGITS)
  assert getattr(task, section) == type(getattr(task, section))()


def test_a_section_of_another_task_is_refused():
  for section in ("augmentation", "encoder"):
    raw = tiny("image") | {section: {}}
    with pytest.raises(errors.UserError, match=f"named '{section}'"):
      parsing.parse(raw)
  raw = tiny("video")
  del raw["augmentation"]
  with pytest.raises(errors.UserError, match=r"lacks augmentation\.name"):
    parsing.parse(raw)


def test_the_sides_of_images_must_fit_the_levels():
  raw = changed("model.multipliers", (1, 1, 1), "learned")
  config = parsing.parse(raw)
  config.make_task((8, 12, 1))
  with pytest.raises(errors.UserError, match="divisible by 4; got images of 8"):
    config.make_task((8, 10, 1))


def test_json_form_and_tuples_are_the_same_config():
  raw = tiny("learned")
  assert comparing.differences(raw, comparing.to_json(raw)) == []
  config_dict = ml_collections.ConfigDict(raw)
  assert comparing.to_json(config_dict) == json.loads(json.dumps(raw))


def test_differences_name_the_field_and_both_values():
  old, new = tiny(), tiny()
  new["train"]["seed"] = 1
  new["model"]["multipliers"] = (1, 2)
  del new["optimizer"]["eps"]
  assert comparing.differences(old, new) == [
    "model.multipliers is [1, 2], was [1, 1]",
    "optimizer.eps is absent, was 1e-08",
    "train.seed is 1, was 0",
  ]


def test_how_often_is_logged_may_change():
  old, new = tiny(), tiny()
  new["title"] = "another"
  for name in set(comparing.RESUMABLE) - {"title"}:
    section, field = name.split(".")
    if section == "train":
      value = new[section][field]
      new[section][field] = value + type(value)(1)
  assert comparing.differences(old, new) == []


def test_where_a_tokenizer_lies_may_change_and_which_it_is_may_not():
  source = dict(workdir="a", tokens="b", hash="c", config={"train": {"n": 1}})
  old = tiny() | {"tokenizer": source}

  def changes(**fields):
    return comparing.differences(old, tiny() | {"tokenizer": source | fields})

  assert changes(workdir="another", tokens="") == []
  assert changes(hash="d") == ["tokenizer.hash is 'd', was 'c'"]
  assert changes(config={"train": {"n": 2}}) == [
    "tokenizer.config.train.n is 2, was 1"
  ]
  # One of the two is of a version with more fields.
  assert changes(config={"train": {"n": 1, "newer": 5}}) == []
  assert changes(config={"train": {}}) == []
  # Not yet looked up, as when a run is only sampled.
  assert changes(hash="", config={}) == []


def test_how_is_sampled_may_change_and_what_is_trained_may_not():
  old, new = tiny("video"), tiny("video")
  new["sampler"] = dict(method="ddim", eta=1.0, respacing="ddim4")
  new["evaluate"]["num_samples"] += 1
  assert comparing.differences(old, new) == []
  for section in ("process", "augmentation", "task"):
    other = tiny("video")
    other[section]["added"] = 1
    assert comparing.differences(old, other) == [
      f"{section}.added is 1, was absent"
    ]


def test_a_run_with_a_constant_rate_may_become_longer():
  old = comparing.to_json(tiny("heat"))
  old["optimizer"]["schedule"] = "constant"
  new = comparing.to_json(old)
  new["train"]["steps"] += 1
  assert comparing.differences(old, new) == []
  old["optimizer"]["schedule"] = new["optimizer"]["schedule"] = "cosine"
  assert len(comparing.differences(old, new)) == 1
