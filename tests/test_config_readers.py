"""No field of a config without code that reads it."""

import ast
import dataclasses
import inspect
import pathlib
import sys
import textwrap
import typing

import flax.linen as nn
import pytest

from pseudovideo import augmentations, configuration, optimizers, tasks
from pseudovideo.diffusion import process
from pseudovideo.losses import masked_tokens
from pseudovideo.models import quantizers, video_unet
from pseudovideo.samplers import heat, masked, settings, tokens
from pseudovideo.tasks import base, first_stage, latent_diffusion, token_prior

ROOT = pathlib.Path(__file__).parents[1]
SECTIONS = {
  "data": configuration.DataConfig,
  "process": process.Process,
  "sampler": settings.Sampler,
  "optimizer": optimizers.OptimizerConfig,
  "train": configuration.TrainConfig,
  "evaluate": configuration.EvaluateConfig,
}
# Sections that depend on the task, and what they are.
OF_TASKS = [
  ("sampler", settings.ChainSampler),
  ("sampler", heat.HeatSampler),
  ("sampler", tokens.TokenSampler),
  ("sampler", masked.Decoding),
  ("masking", masked_tokens.Masking),
  ("tokenizer", token_prior.TokenizerSource),
  ("autoencoder", first_stage.Source),
]
# What a task hands its sections to, besides reading them itself.
PARTS = {
  latent_diffusion.LatentDiffusion: (
    latent_diffusion.LatentImages,
    latent_diffusion.LatentVideos,
  ),
}
ALIASED = {*SECTIONS, *(section for section, _ in OF_TASKS)}


def reads(
  source: str, overridden: frozenset[tuple[str, str]] = frozenset()
) -> set[tuple[str, str]]:
  """(owner, field) of every attribute that is read, checks left out.

  The owner is the section: `config.train.steps`, or `c.steps` after
  `c = config.train` or in a function that takes `c: TrainConfig`. Inside a
  class, `self.steps` is read by that class, and so is `net.steps` in a function
  that takes `net: Class`.

  Args:
    source: Python code.
    overridden: (class, method) that are never called.
  """
  owners = {cls.__name__: section for section, cls in SECTIONS.items()}
  found = set()

  def visit(node, aliases):
    if isinstance(node, ast.FunctionDef):
      if node.name.startswith("check") or node.name == "__post_init__":
        return
      if (aliases.get("self"), node.name) in overridden:
        return
      aliases = dict(aliases)
      for argument in (*node.args.args, *node.args.kwonlyargs):
        if argument.annotation is not None:
          name = ast.unparse(argument.annotation).split(".")[-1]
          aliases[argument.arg] = owners.get(name, name)
      for inner in ast.walk(node):
        if isinstance(inner, ast.Assign) and isinstance(
          inner.value, ast.Attribute
        ):
          for target in inner.targets:
            if isinstance(target, ast.Name) and inner.value.attr in ALIASED:
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


def reads_of(cls: type) -> set[tuple[str, str]]:
  """(name of the class, field) of what the modules of its bases read of it."""
  mro = [c for c in cls.__mro__ if c.__module__.startswith("pseudovideo.")]
  overridden = frozenset(
    (parent.__name__, name)
    for i, parent in enumerate(mro)
    for child in mro[:i]
    for name in vars(child)
  )
  modules = {c.__module__ for c in mro}
  found = set().union(
    *(reads(inspect.getsource(sys.modules[m]), overridden) for m in modules)
  )
  owners = {c.__name__ for c in mro}
  return {(cls.__name__, field) for owner, field in found if owner in owners}


def unread(owner: str, cls: type, found: set[tuple[str, str]]) -> list[str]:
  return [name for name in own_fields(cls) if (owner, name) not in found]


@pytest.fixture(scope="module")
def reads_of_package():
  sources = (ROOT / "pseudovideo").rglob("*.py")
  return set().union(*(reads(path.read_text()) for path in sources))


def test_every_field_of_a_section_is_read(reads_of_package):
  for section, cls in SECTIONS.items():
    by_itself = {(section, field) for _, field in reads_of(cls)}
    assert not unread(section, cls, reads_of_package | by_itself), section


def test_every_section_of_a_task_is_tested():
  tested = {*SECTIONS.items(), *OF_TASKS}
  tested.add(("discriminator_optimizer", optimizers.AdamConfig))
  for task in tasks.TABLE.values():
    for name, hint in typing.get_type_hints(task).items():
      if name in tasks.SECTIONS and name not in configuration.NAMED:
        assert (name, hint) in tested or issubclass(hint, nn.Module)


def test_every_field_of_a_section_of_a_task_is_read(reads_of_package):
  """By its own module, by one of these tasks, or where its type is named."""
  for section, cls in OF_TASKS:
    by_tasks = set()
    for task in tasks.TABLE.values():
      if typing.get_type_hints(task).get(section) is cls:
        classes = {c for t in (task, *PARTS.get(task, ())) for c in t.__mro__}
        by_tasks |= {
          (cls.__name__, field)
          for module in {c.__module__ for c in classes - {object}}
          for owner, field in reads(inspect.getsource(sys.modules[module]))
          if owner == section
        }
    found = reads_of(cls) | by_tasks | reads_of_package
    assert not unread(cls.__name__, cls, found), cls


def networks_and_tasks():
  for task in tasks.TABLE.values():
    yield task
    for name, hint in typing.get_type_hints(task).items():
      if name in tasks.SECTIONS and issubclass(hint, nn.Module):
        yield hint


def test_every_field_of_a_task_or_network_is_read():
  # What all tasks have is read by `base`.
  shared = {f for owner, f in reads(inspect.getsource(base)) if owner == "Task"}
  # That of the data; no config sets it, and models of tokens see no images.
  shared.add("image_shape")
  for cls in set(networks_and_tasks()):
    found = reads_of(cls)
    if cls in tasks.TABLE.values():
      found |= {(cls.__name__, name) for name in shared}
    assert not unread(cls.__name__, cls, found), cls


def test_every_field_of_a_part_with_a_name_is_read(reads_of_package):
  parts = [*augmentations.TABLE.values(), *quantizers.TABLE.values()]
  for cls in (*parts, optimizers.AdamConfig):
    found = reads_of(cls)
    if cls in augmentations.TABLE.values():
      # Tasks read the number of frames.
      assert ("augmentation", "frames") in reads_of_package
      found |= {(cls.__name__, "frames")}
    assert not unread(cls.__name__, cls, found), cls


def test_readers_that_a_subclass_overrides_do_not_count():
  assert ("VideoUNet", "heads") in reads_of(video_unet.VideoUNet)
  source = """
    class Parent:
      def __call__(self): return self.lost
      def kept(self): return self.found
    def of_the_module(net: Parent): return net.also_found
    def check_it(net: Parent): return net.checked
  """
  found = reads(textwrap.dedent(source), frozenset({("Parent", "__call__")}))
  assert found == {("Parent", "found"), ("Parent", "also_found")}


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
