"""Checked configs: what is accepted, what is refused and in which words."""

import copy
import dataclasses
import json
import re

import ml_collections
import pytest

from configs import hvae, video_diffusion
from pseudovideo import augmentations, configuration, errors

DIGITS = (8, 8, 1)


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
  return configuration.complete(module.get_config(f"preset=tiny,{argument}"))


def changed(path, value, system="heat"):
  raw = tiny(system)
  section, field = path.split(".")
  raw[section][field] = value
  return raw


@pytest.mark.parametrize(
  ("field", "given", "expected"),
  [
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
  ],
)
def test_values_that_fit(field, given, expected):
  checked = configuration.check_fields(Toy, {"count": 1, field: given}, "toy")
  assert repr(checked[field]) == repr(expected), "equal, and of equal type"


@pytest.mark.parametrize(
  ("field", "given", "words"),
  [
    ("count", 3.0, "an integer"),
    ("count", True, "an integer"),
    ("count", "3", "an integer"),
    ("count", None, "an integer"),
    ("rate", "fast", "a finite number"),
    ("rate", True, "a finite number"),
    ("rate", float("nan"), "a finite number"),
    ("rate", float("inf"), "a finite number"),
    ("flag", 1, "True or False"),
    ("name", 1, "a string"),
    ("sizes", 3, "a tuple of values that are each an integer"),
    ("sizes", (1, "a"), "a tuple of values that are each an integer"),
    ("sizes", (1, 2.0), "a tuple of values that are each an integer"),
    ("sizes", ((1,),), "a tuple of values that are each an integer"),
    ("sizes", "12", "a tuple of values that are each an integer"),
    ("limit", 1.5, "an integer or None"),
    ("limit", False, "an integer or None"),
  ],
)
def test_values_of_another_type(field, given, words):
  with pytest.raises(errors.UserError) as caught:
    configuration.check_fields(Toy, {"count": 1, field: given}, "toy")
  message = f"toy.{field} must be {words}; got {given!r} "
  assert str(caught.value) == f"{message}({type(given).__name__})."


@pytest.mark.parametrize(
  ("field", "value", "message"),
  [
    ("count", 2**32, "toy.count must be between -2**32 and 2**32; got 42949"),
    ("limit", -(2**40), "toy.limit must be between -2**32 and 2**32"),
    ("sizes", (1, 2**32), "toy.sizes must be between"),
    ("rate", 10**400, "toy.rate must be a finite number; got 1000"),
    ("rate", 10**300, "toy.rate is 1e+300, which networks, computing in flo"),
    ("rate", 1e39, "take for inf; give a number that float32 can tell"),
    ("rate", -1e39, "take for -inf;"),
    ("rate", 1e-39, "toy.rate is 1e-39, which"),
    ("rate", 1 - 1e-9, "take for 1; give"),
    ("rates", (0.5, 1e-50), "toy.rates is 1e-50, which"),
  ],
)
def test_numbers_that_arrays_would_change(field, value, message):
  with pytest.raises(errors.UserError, match=re.escape(message)) as caught:
    configuration.check_fields(Toy, {"count": 1, field: value}, "toy")
  assert len(str(caught.value)) < 200, "also of a long number"


@pytest.mark.parametrize("rate", [0.0, 1.0, 1e-37, 3e38, -1, 1 - 1e-6, 0.1])
def test_numbers_that_arrays_hold(rate):
  checked = configuration.check_fields(Toy, {"count": 1, "rate": rate}, "toy")
  assert checked["rate"] == rate


def test_long_values_are_shortened_in_messages():
  for value in ("x" * 10_000, 10**1000, list(range(1000))):
    with pytest.raises(errors.UserError) as caught:
      configuration.check_fields(Toy, {"count": value}, "toy")
    assert len(str(caught.value)) < 200
  with pytest.raises(errors.UserError) as caught:
    configuration.parse(changed("data.binarize", "x" * 10_000))
  assert len(str(caught.value)) < 300


def test_missing_and_unknown_fields():
  with pytest.raises(errors.UserError, match=r"lacks the field toy\.count"):
    configuration.check_fields(Toy, {}, "toy")
  with pytest.raises(errors.UserError, match="did you mean 'count'"):
    configuration.check_fields(Toy, {"conut": 1}, "toy")
  # What is given otherwise is not for the config.
  assert configuration.check_fields(Toy, {}, "toy", ("count",)) == {}
  with pytest.raises(errors.UserError, match="no field of toy named 'count'"):
    configuration.check_fields(Toy, {"count": 1}, "toy", ("count",))


def test_a_parsed_config_holds_what_was_given():
  raw = changed("train.seed", 7)
  config = configuration.parse(raw)
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
  before = copy.deepcopy(configuration.plain(raw))
  full = configuration.complete(raw)
  assert configuration.plain(raw) == before, "the argument is left alone"
  assert full["optimizer"]["b2"] == 0.999
  for section, fields in before.items():
    if section != "title":
      assert fields.items() <= full[section].items()


@pytest.mark.parametrize("section", ["data", "task", "train"])
def test_a_section_may_lack(section):
  raw = tiny()
  del raw[section]
  with pytest.raises(errors.UserError, match=r"lacks the field|no task named"):
    configuration.parse(raw)


@pytest.mark.parametrize(
  ("change", "message"),
  [
    ({"trian": {}}, "no section of the config named 'trian'; did you mean"),
    ({"train": 3}, "train must be a section with fields; got 3."),
    ({"title": 3}, r"title must be a string; got 3 \(int\)."),
    ({"encoder": {"channels": 8}}, "no section of the config named 'encoder'"),
    ({"task": {}}, "Choose one of: heat_hvae, image_diffusion, latent_d"),
    ({"task": {"name": ["heat_hvae"]}}, "Choose one of: heat_hvae, image_dif"),
  ],
)
def test_wrong_sections(change, message):
  with pytest.raises(errors.UserError, match=message):
    configuration.parse(tiny() | change)


def test_defaults_cannot_be_added_to_what_is_no_config():
  for change in ({"train": 3}, {"title": 3}, {"task": {"name": "hvae"}}):
    with pytest.raises(errors.UserError):
      configuration.complete(tiny() | change)


NUMBERS = [0, -1, 1, 2, 3, 2**40, 1e-30, -0.5, 0.0, 1.0, float("nan"), 1e300]
OTHERS = ["", "x", None, True, (), (0,), (-1,), (1, 1, 1), [1], {}, [[1]]]


@pytest.mark.parametrize("system", SYSTEMS)
def test_whatever_a_field_is_there_is_a_task_or_a_sentence(system):
  refused = accepted = 0
  for section, fields in tiny(system).items():
    for field in fields if section != "title" else ():
      for value in (*NUMBERS, *OTHERS):
        raw = changed(f"{section}.{field}", value, system)
        try:
          configuration.parse(raw).make_task(DIGITS)
          accepted += 1
        except errors.UserError as error:
          assert str(error).endswith(".") and "\n" not in str(error)
          refused += 1
  assert refused > accepted > 50


@pytest.mark.parametrize(
  ("path", "value", "message"),
  [
    ("train.steps", 0, "train.steps must be at least 1; got 0"),
    ("train.eval_every", -1, "train.eval_every must not be negative"),
    ("train.keep_every", -1, "train.keep_every must not be negative"),
    ("train.steps", 2**30 + 1, "train.steps must be at most 1073741824; got"),
    ("train.grid", 10**6, "train.grid must be at most 10000; got 1000000."),
    ("train.batch_size", 2**30, "train.batch_size must be at most 1048576"),
    ("evaluate.num_samples", 10**9, "num_samples must be at most 10000000"),
    ("evaluate.inception", "no", "There is no evaluate.inception named 'no'"),
    ("train.seed", -1, r"must lie in \[0, 2\*\*32\)"),
    ("train.seed", 2**32, r"must be between -2\*\*32 and 2\*\*32"),
    ("train.accumulate", 3, "must divide train.batch_size; got 3 and 16"),
    ("evaluate.num_samples", 1, "at least 2"),
    ("evaluate.seed", -1, "evaluate.seed must lie in"),
    ("optimizer.b1", 1.0, r"must lie in \[0, 1\); got 1.0"),
    ("optimizer.eps", -1.0, "optimizer.eps must be positive; got -1.0."),
    ("optimizer.eps", 0.0, "optimizer.eps must be positive; got 0.0."),
    ("optimizer.clip_norm", -1.0, "must not be negative"),
    ("optimizer.warmup_steps", 8, "smaller than train.steps; got 8 and 8"),
    ("data.binarize", "bern", "did you mean 'bernoulli'"),
  ],
)
def test_values_out_of_range(path, value, message):
  with pytest.raises(errors.UserError, match=message):
    configuration.parse(changed(path, value))


# Sections of the diffusion tasks.


@pytest.mark.parametrize(
  ("path", "value", "message"),
  [
    ("process.stpes", 10, "no field of process named 'stpes'; did you mean"),
    ("process.steps", "10", "process.steps must be an integer; got '10'"),
    (
      "process.steps",
      10**9,
      "process.steps must be at most 1000000; got 10000",
    ),
    ("augmentation.frames", 10**9, "must be at most 1000; got 1000000000"),
    ("process.schedule", "linaer", "did you mean 'linear'"),
    ("sampler.method", "ancestrel", "did you mean 'ancestral'"),
    ("sampler.eta", 0.5, "with 'ancestral'"),
    ("sampler.respacing", "4/4", "lists 2 stages, but the schedule has 3"),
    ("sampler.respacing", "50", "asks for 50 steps, but the process has 40"),
    ("augmentation.name", "high_ordr", "did you mean 'high_order'"),
    ("augmentation.sigma_min", 0.1, "no field of augmentation named 'sigma_"),
    ("augmentation.frames", 1, "choose the augmentation 'identity'"),
    ("augmentation.beta_max", 1.0, "both below 1"),
    ("task.context", 5, "the 4 frames of the video; got a context of 5"),
    ("task.scheme", "autoregresive", "did you mean 'autoregressive'"),
  ],
)
def test_mistakes_in_the_sections_of_a_video(path, value, message):
  with pytest.raises(errors.UserError, match=re.escape(message)):
    configuration.parse(changed(path, value, "video")).make_task(DIGITS)


def test_an_augmentation_is_built_from_its_name_and_fields():
  raw = changed("augmentation.beta_max", 0.1, "video")
  task = configuration.parse(raw).make_task(DIGITS)
  assert task.augmentation == augmentations.make(
    "high_order", frames=4, beta_max=0.1
  )
  # Other augmentations have other fields, which `complete` writes out.
  raw["augmentation"] = {"name": "blur", "frames": 4}
  full = configuration.complete(raw)["augmentation"]
  padding = augmentations.make("blur").padding
  assert full == {"name": "blur", "frames": 4, "padding": padding}


@pytest.mark.parametrize("section", ["process", "sampler"])
def test_sections_with_defaults_only_may_be_left_out(section):
  raw = tiny("video")
  raw["sampler"]["respacing"] = ""
  del raw[section]
  task = configuration.parse(raw).make_task(DIGITS)
  assert getattr(task, section) == type(getattr(task, section))()


def test_a_section_of_another_task_is_refused():
  for section in ("augmentation", "encoder"):
    raw = tiny("image") | {section: {}}
    with pytest.raises(errors.UserError, match=f"named '{section}'"):
      configuration.parse(raw)
  raw = tiny("video")
  del raw["augmentation"]
  with pytest.raises(errors.UserError, match=r"lacks augmentation\.name"):
    configuration.parse(raw)


def test_the_sides_of_images_must_fit_the_levels():
  raw = changed("model.multipliers", (1, 1, 1), "learned")
  config = configuration.parse(raw)
  config.make_task((8, 12, 1))
  with pytest.raises(errors.UserError, match="divisible by 4; got images of 8"):
    config.make_task((8, 10, 1))


def test_json_form_and_tuples_are_the_same_config():
  raw = tiny("learned")
  assert configuration.differences(raw, configuration.to_json(raw)) == []
  config_dict = ml_collections.ConfigDict(raw)
  assert configuration.to_json(config_dict) == json.loads(json.dumps(raw))


def test_differences_name_the_field_and_both_values():
  old, new = tiny(), tiny()
  new["train"]["seed"] = 1
  new["model"]["multipliers"] = (1, 2)
  del new["optimizer"]["eps"]
  assert configuration.differences(old, new) == [
    "model.multipliers is [1, 2], was [1, 1]",
    "optimizer.eps is None, was 1e-08",
    "train.seed is 1, was 0",
  ]


def test_how_often_is_logged_may_change():
  old, new = tiny(), tiny()
  new["title"] = "another"
  for name in set(configuration.RESUMABLE) - {"title"}:
    section, field = name.split(".")
    if section == "train":
      new[section][field] += 1
  assert configuration.differences(old, new) == []


def test_where_a_tokenizer_lies_may_change_and_which_it_is_may_not():
  source = dict(workdir="a", tokens="b", hash="c", config={"train": {"n": 1}})
  old = tiny() | {"tokenizer": source}

  def changes(**fields):
    return configuration.differences(
      old, tiny() | {"tokenizer": source | fields}
    )

  assert changes(workdir="another", tokens="") == []
  assert changes(hash="d") == ["tokenizer.hash is 'd', was 'c'"]
  assert changes(config={"train": {"n": 2}}) == [
    "tokenizer.config.train.n is 2, was 1"
  ]
  # Not yet looked up, as when a run is only sampled.
  assert changes(hash="", config={}) == []


def test_how_is_sampled_may_change_and_what_is_trained_may_not():
  old, new = tiny("video"), tiny("video")
  new["sampler"] = dict(method="ddim", eta=1.0, respacing="ddim4")
  new["evaluate"]["num_samples"] += 1
  assert configuration.differences(old, new) == []
  for section in ("process", "augmentation", "task"):
    other = tiny("video")
    other[section]["added"] = 1
    assert configuration.differences(old, other) == [
      f"{section}.added is 1, was None"
    ]


def test_a_run_with_a_constant_rate_may_become_longer():
  old = configuration.to_json(tiny("heat"))
  old["optimizer"]["schedule"] = "constant"
  new = configuration.to_json(old)
  new["train"]["steps"] += 1
  assert configuration.differences(old, new) == []
  old["optimizer"]["schedule"] = new["optimizer"]["schedule"] = "cosine"
  assert len(configuration.differences(old, new)) == 1
