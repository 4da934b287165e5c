"""Settings that are compared: methods, and steps of every stage."""

import dataclasses
from collections.abc import Mapping

from pseudovideo import errors
from pseudovideo.samplers import settings


@dataclasses.dataclass(frozen=True)
class Setting:
  """One sampler.

  Attributes:
    method: a method of `samplers.diffusion`.
    respacing: steps of all stages, as in the section `sampler`; of the last
      stage only, where `earlier` is set.
    earlier: None for a sampler of whole videos. Otherwise only the last stage
      is sampled, and the earlier frames are those of the ancestral sampler with
      this respacing.
  """

  method: str
  respacing: str
  earlier: str | None = None

  @property
  def steps(self) -> str:
    """The respacing in words: "20/5/2", or "all"."""
    return "/".join(part or "all" for part in self.respacing.split("/"))

  @property
  def label(self) -> str:
    last = "" if self.earlier is None else "last stage "
    return f"{last}{self.method} {self.steps}"

  @property
  def slug(self) -> str:
    """The beginning of the names of its files."""
    after = f"after {self.earlier or 'all'} "
    if self.earlier is None:
      after = ""
    return f"{after}{self.method} {self.steps}".translate(
      str.maketrans(" /,", "_-+")
    )

  def sampler(self, of_run: settings.Sampler) -> settings.Sampler:
    """The run's section `sampler` with this method and respacing."""
    return dataclasses.replace(
      of_run, method=self.method, respacing=self.respacing, eta=0.0
    )


@dataclasses.dataclass(frozen=True)
class Preset:
  """Lists of settings, and the number of samples.

  Attributes:
    num_samples: number of scored images per setting and seed.
    equal: method -> steps, the same in all stages.
    falling: (first, middle, last) steps, see `falling`; with every method.
    last: steps of the last stage after the reference's frames; with every
      method.
  """

  num_samples: int
  equal: Mapping[str, tuple[int, ...]]
  falling: tuple[tuple[int, int, int], ...]
  last: tuple[int, ...]


PRESETS = {
  "tiny": Preset(
    num_samples=16,
    equal={"ancestral": (5,), "dpm_solver": (5,)},
    falling=((6, 2, 2),),
    last=(2,),
  ),
  "small": Preset(
    num_samples=1000,
    equal={
      "ancestral": (100, 50, 25, 10),
      "ddim": (50, 25, 10, 5),
      "dpm_solver": (25, 20, 15, 10, 5),
    },
    falling=((50, 10, 5), (20, 10, 5), (15, 15, 5), (10, 5, 3)),
    last=(2, 3, 5, 10, 25),
  ),
  "paper": Preset(
    num_samples=10_000,
    equal={
      "ancestral": (500, 250, 100, 50, 25, 10),
      "ddim": (100, 50, 25, 10, 5),
      "dpm_solver": (50, 25, 20, 15, 10, 5),
    },
    falling=((100, 20, 10), (50, 10, 5), (20, 10, 5), (15, 15, 5), (10, 5, 3)),
    last=(2, 3, 5, 10, 25, 50, 100),
  ),
}


def falling(first: int, middle: int, last: int, stages: int) -> str:
  """Steps of a video: many at first, few in the middle, fewest at the end.

  The first stage draws the noisy frames together and decides what is in the
  image. Later frames are nearly given by those before them.

  Args:
    first: steps of the first stage.
    middle: steps of each stage between the first and the last.
    last: steps of the last stage.
    stages: number of stages, at least 2.

  Returns:
    A respacing such as "20/5/5/2".
  """
  if stages < 2:
    raise errors.UserError(
      f"Steps can fall over 2 stages or more; this video has {stages}."
    )
  return "/".join(map(str, (first, *[middle] * (stages - 2), last)))


def whole_videos(
  preset: Preset, stages: int, steps: int, reference: Setting
) -> list[Setting]:
  """The reference, then the settings that are compared with it, each once.

  Args:
    preset: the lists.
    stages: number of stages of the run's schedule.
    steps: steps of its process; settings with as many steps in a stage, or
      more, are left out.
    reference: the setting that comes first.
  """
  found = [
    Setting(method, str(count))
    for method, counts in preset.equal.items()
    for count in counts
    if count < steps
  ]
  if stages > 1:
    found += [
      Setting(method, falling(*rule, stages))
      for rule in preset.falling
      if max(rule) < steps
      for method in preset.equal
    ]
  return list(dict.fromkeys([reference, *found]))


def last_stages(
  preset: Preset, stages: int, steps: int, reference: Setting
) -> list[Setting]:
  """Samplers of the last stage alone; none if there is only one stage."""
  if stages < 2:
    return []
  return [
    Setting(method, str(count), earlier=reference.respacing)
    for method in preset.equal
    for count in preset.last
    if count < steps
  ]
