"""Every config file, with all combinations of its arguments."""

import ast
import dataclasses
import functools
import inspect
import itertools
import json
import pathlib
import textwrap

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from configs import common, hvae
from pseudovideo import (
  configuration,
  errors,
  optimizers,
  state,
  tasks,
)
from pseudovideo.data import SETS

ROOT = pathlib.Path(__file__).parents[1]
# Config file -> its arguments. A new file must be named here.
ARGUMENTS = {
  hvae: {
    "dataset": hvae.DATASETS,
    "encoder": hvae.ENCODERS,
    "preset": hvae.PRESETS,
  },
}
SHAPES = {
  "digits": (8, 8, 1),
  "mnist": (28, 28, 1),
  "cifar10": (32, 32, 3),
  "celeb_a": (64, 64, 3),
  "folder:PATH": (48, 32, 3),
}
COMBINATIONS = [
  (module, dict(zip(arguments, values, strict=True)))
  for module, arguments in ARGUMENTS.items()
  for values in itertools.product(*arguments.values())
]
every_combination = pytest.mark.parametrize(
  ("module", "options"),
  COMBINATIONS,
  ids=[",".join(options.values()) for _, options in COMBINATIONS],
)


def load(module, options):
  argument = ",".join(f"{name}={value}" for name, value in options.items())
  return module.get_config(argument)


@functools.cache
def shapes_of(network, image_shape):
  """Parameter shapes; nothing is allocated, however large the network."""
  variables = jax.eval_shape(
    network.init,
    jax.random.key(0),
    jnp.zeros((1, *image_shape)),
    jnp.zeros((1,)),
  )
  return variables["params"]


def test_no_config_file_is_left_out():
  files = {path.stem for path in (ROOT / "configs").glob("*.py")}
  tested = {pathlib.Path(module.__file__).stem for module in ARGUMENTS}
  assert files == tested | {"common", "__init__"}
  for module, arguments in ARGUMENTS.items():
    for name, values in arguments.items():
      for text in (name, *values):
        assert text in module.__doc__, "the lab note names every choice"


def test_every_data_set_has_a_config():
  assert {name.partition(":")[0] for name in hvae.DATASETS} == set(SETS)


@every_combination
def test_every_combination_makes_a_task(module, options):
  config = configuration.parse(load(module, options))
  shape = SHAPES[options["dataset"]]
  task = config.make_task(shape)  # Calls the task's check.
  for network in set(tasks.NETWORKS) & set(vars(task)):
    params = shapes_of(getattr(task, network), shape)
    assert state.count_parameters(params) > 1000
  assert config.data.name == options["dataset"]
  for value in options.values():
    assert value in config.title


@every_combination
def test_completing_twice_and_json_change_nothing(module, options):
  raw = load(module, options)
  full = configuration.complete(raw)
  assert configuration.complete(full) == full
  through_json = json.loads(json.dumps(configuration.to_json(full)))
  parsed = configuration.parse(full)
  assert parsed == configuration.parse(raw)
  assert parsed == configuration.parse(through_json)
  assert not configuration.differences(full, through_json)


def test_the_paper_decoder_has_the_published_number_of_parameters():
  config = configuration.parse(hvae.get_config("dataset=mnist,preset=paper"))
  task = config.make_task(SHAPES["mnist"])
  params = shapes_of(task.model, SHAPES["mnist"])
  assert state.count_parameters(params) == 42_082_049


@pytest.mark.parametrize("preset", hvae.PRESETS)
@pytest.mark.parametrize("dataset", hvae.DATASETS)
def test_both_encoders_have_the_same_decoder(dataset, preset):
  heat, learned = (
    configuration.parse(
      hvae.get_config(f"dataset={dataset},encoder={encoder},preset={preset}")
    ).make_task(SHAPES[dataset])
    for encoder in hvae.ENCODERS
  )
  assert heat.model == learned.model
  assert heat.levels == learned.levels


def test_the_first_choices_are_the_defaults():
  chosen = hvae.get_config("dataset=digits,encoder=heat,preset=small")
  assert hvae.get_config("") == hvae.get_config() == chosen


def test_a_folder_reaches_the_data_section():
  config = hvae.get_config("dataset=folder:some/where?size=32,preset=tiny")
  assert config.data.name == "folder:some/where?size=32"


@pytest.mark.parametrize(
  ("argument", "allowed"),
  [
    ("preset=tny", "paper, small, tiny"),
    ("encoder=", "heat, learned"),
    ("dataset=folder:", "celeb_a, cifar10, digits, folder:PATH, mnist"),
    ("datset=digits", "dataset, encoder, preset"),
    ("digits", "dataset, encoder, preset"),
  ],
)
def test_bad_arguments_list_the_choices(argument, allowed):
  with pytest.raises(errors.UserError, match=f"Choose one of: {allowed}"):
    hvae.get_config(argument)


def test_arguments_may_come_in_any_order_and_the_last_one_wins():
  parsed = common.parse_argument(
    "b=2,a=y,b=1", a=("x", "y"), b=("0", "1", "2"), c=("only",)
  )
  assert parsed == {"a": "y", "b": "1", "c": "only"}


# No field without a reader.

SECTIONS = {
  "data": configuration.DataConfig,
  "optimizer": optimizers.OptimizerConfig,
  "train": configuration.TrainConfig,
  "evaluate": configuration.EvaluateConfig,
}


def reads(source: str) -> set[tuple[str, str]]:
  """(owner, field) of every attribute that is read, `check` left out.

  The owner is the section: `config.train.steps`, or `c.steps` after
  `c = config.train` or in a function that takes `c: TrainConfig`. Inside a
  class, `self.steps` is read by that class.
  """
  owners = {cls.__name__: section for section, cls in SECTIONS.items()}
  found = set()

  def visit(node, aliases):
    if isinstance(node, ast.FunctionDef):
      if node.name == "check":
        return
      aliases = dict(aliases)
      for argument in (*node.args.args, *node.args.kwonlyargs):
        if argument.annotation is not None:
          name = ast.unparse(argument.annotation).split(".")[-1]
          aliases[argument.arg] = owners.get(name)
      for inner in ast.walk(node):
        if isinstance(inner, ast.Assign) and isinstance(
          inner.value, ast.Attribute
        ):
          for target in inner.targets:
            if isinstance(target, ast.Name) and inner.value.attr in SECTIONS:
              aliases[target.id] = inner.value.attr
    if isinstance(node, ast.ClassDef):
      aliases = {**aliases, "self": node.name}
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
      owner = node.value
      if isinstance(owner, ast.Attribute):
        found.add((owner.attr, node.attr))
      elif isinstance(owner, ast.Name):
        found.add((aliases.get(owner.id), node.attr))
    for child in ast.iter_child_nodes(node):
      visit(child, aliases)

  visit(ast.parse(source), {})
  return found


def own_fields(cls: type) -> list[str]:
  """Fields that a config can set, or that the config determines."""
  of_module = ("parent", "name") if issubclass(cls, nn.Module) else ()
  return [f.name for f in dataclasses.fields(cls) if f.name not in of_module]


def unread(owner: str, cls: type, found: set[tuple[str, str]]) -> list[str]:
  return [name for name in own_fields(cls) if (owner, name) not in found]


@pytest.fixture(scope="module")
def reads_of_package():
  sources = (ROOT / "pseudovideo").rglob("*.py")
  return set().union(*(reads(path.read_text()) for path in sources))


@pytest.mark.parametrize("section", SECTIONS)
def test_every_field_of_a_section_is_read(section, reads_of_package):
  assert not unread(section, SECTIONS[section], reads_of_package)


def networks_and_tasks():
  for task in tasks.TABLE.values():
    yield task
    for name, hint in inspect.get_annotations(task).items():
      if name in tasks.NETWORKS:
        yield hint


@pytest.mark.parametrize(
  "cls", sorted(set(networks_and_tasks()), key=lambda c: c.__name__)
)
def test_every_field_of_a_task_or_network_is_read(cls):
  source = textwrap.dedent(inspect.getsource(cls))
  assert not unread(cls.__name__, cls, reads(source))


def test_a_field_without_a_reader_is_found():
  @dataclasses.dataclass
  class Toy:
    used: int
    passed_on: int
    unused: int

    def check(self):
      if self.unused < 0:
        raise ValueError

    def work(self):
      return self.used

  found = reads(textwrap.dedent(inspect.getsource(Toy)))
  assert unread("Toy", Toy, found) == ["passed_on", "unused"]
  elsewhere = """
    def by_chain(run): return run.config.train.used
    def by_name(run):
      config = run.config.train
      return config.passed_on
    def of_another_section(run):
      config = run.config.evaluate
      return config.unused
    def written(run): run.config.train.unused = 1
  """
  found = reads(textwrap.dedent(elsewhere))
  assert unread("train", Toy, found) == ["unused"]
  by_type = "def make(config: optimizers.OptimizerConfig): config.unused"
  assert ("optimizer", "unused") in reads(by_type)
