"""A sweep over all settings and seeds, on one run."""

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.studies.sampling_budget import measure as measuring
from experiments.studies.sampling_budget import points, settings
from experiments.studies.sampling_budget import summary as summaries
from pseudovideo import errors, runs
from pseudovideo.devices import sharding
from pseudovideo.evaluation import evaluate
from pseudovideo.files import atomic
from pseudovideo.runs import sample_files
from pseudovideo.terminal import progress_bar

SHOWN = 64


class Sweep:
  """Measures what is not measured yet, and sums up.

  Args:
    run: a run of `runs.restore`.
    preset: lists of settings.
    reference: respacing of the ancestral sampler that others are compared
      with.
    seeds: seeds of the samples, two or more.
    num_samples: number of scored images of each setting and seed.
    folder: folder of all files.

  Raises:
    UserError: the run cannot be sampled in these ways, or the folder has the
      scores of another one.
  """

  def __init__(
    self,
    run: runs.Run,
    preset: settings.Preset,
    *,
    reference: str,
    seeds: Sequence[int],
    num_samples: int,
    folder: pathlib.Path,
  ):
    _check(run)
    self._run, self._seeds, self._num = run, tuple(seeds), num_samples
    self._folder = folder
    self._steps = run.task.process.steps
    self._stages = run.task.num_stages
    self._reference = settings.Setting("ancestral", reference)
    sampler = self._reference.sampler(run.task.sampler)
    sampler.check(self._steps, self._stages)
    lists = (preset, self._stages, self._steps, self._reference)
    self._whole = settings.whole_videos(*lists)
    self._last = settings.last_stages(*lists)
    self._mesh = sharding.make_mesh()
    self._networks = evaluate.networks_of(run)
    self._about = points.fingerprint(run, self._networks, num_samples)
    self._points = {
      (setting, seed): point
      for setting in [*self._whole, *self._last]
      for seed in self._seeds
      if (point := points.load(self._file(setting, seed, ".json"), self._about))
    }

  def measure(self) -> None:
    """Draws and scores what is missing, the reference first."""
    todo = [
      (setting, seed)
      for setting in [*self._whole, *self._last]
      for seed in self._seeds
      if not self._is_done(setting, seed)
    ]
    compiled = None
    for i, (setting, seed) in enumerate(todo, 1):
      if setting != compiled:
        draw = measuring.make_draw(self._run.task, setting, self._mesh)
        compiled = setting
      self._measure(draw, setting, seed)
      print(f"[{i}/{len(todo)}] {self._line(setting, seed)}", flush=True)

  def summary(self) -> summaries.Summary:
    """The summary of all points, which must have been measured."""
    records = self._points[self._reference, self._seeds[0]]["metrics"]
    name = summaries.primary_metric(records["generated"])
    whole = tuple(self._row(setting, name) for setting in self._whole)
    return summaries.Summary(
      metric=name,
      better=records["generated"][name]["better"],
      steps=self._steps,
      stages=self._stages,
      reference=whole[0],
      rows=whole,
      last=tuple(self._row(setting, name) for setting in self._last),
    )

  def samples(self, setting: settings.Setting) -> np.ndarray:
    """(n, H, W, C) uint8, the first samples of the first seed."""
    path = self._file(setting, self._seeds[0], ".npz")
    return sample_files.load(path).images

  def _row(self, setting: settings.Setting, name: str) -> summaries.Row:
    found = tuple(self._points[setting, seed] for seed in self._seeds)
    sampler = setting.sampler(self._run.task.sampler)
    stages = self._stages if setting.earlier is None else 1
    return summaries.Row(
      setting,
      sampler.network_evaluations(self._run.task.process, stages),
      tuple(p["metrics"]["generated"][name]["value"] for p in found),
      found,
    )

  def _is_done(self, setting: settings.Setting, seed: int) -> bool:
    """True if there is a score, and the videos that others still need."""
    done = (setting, seed) in self._points
    done &= self._file(setting, seed, ".npz").exists()
    if setting == self._reference and not self._videos_file(seed).exists():
      done &= all((last, seed) in self._points for last in self._last)
    return done

  def _measure(self, draw, setting: settings.Setting, seed: int) -> None:
    """Draws and scores; the score is written last."""
    run, earlier, videos = self._run, None, None
    if setting.earlier is not None:
      earlier = np.load(self._videos_file(seed), mmap_mode="r")
    elif setting == self._reference and self._last:
      shape = (self._num, run.task.frames, *run.task.image_shape)
      videos = np.empty(shape, np.float32)
    progress = progress_bar.Progress(self._num, description=setting.label)
    drawn, seconds = measuring.draw_images(
      draw,
      run,
      seed=seed,
      num=self._num,
      devices=self._mesh.size,
      earlier=earlier,
      out=videos,
      progress=progress.update,
    )
    progress.close()
    self._folder.mkdir(parents=True, exist_ok=True)
    if videos is not None:
      path = self._videos_file(seed)
      with atomic.replacing(path) as part, part.open("wb") as file:
        np.save(file, videos)
    sample_files.save(
      self._file(setting, seed, ".npz"),
      sample_files.Samples(drawn[:SHOWN], None, seed, seconds, run.step),
    )
    point = {
      "label": setting.label,
      "seed": seed,
      "seconds": seconds,
      "metrics": measuring.score(drawn, run, self._networks),
    }
    points.save(self._file(setting, seed, ".json"), self._about, point)
    self._points[setting, seed] = point

  def _line(self, setting: settings.Setting, seed: int) -> str:
    point = self._points[setting, seed]
    records = point["metrics"]["generated"]
    name = summaries.primary_metric(records)
    return (
      f"{setting.label}, seed {seed}: {name} {records[name]['value']:.3f}, "
      f"{point['seconds']:.1f} s"
    )

  def _file(
    self, setting: settings.Setting, seed: int, ending: str
  ) -> pathlib.Path:
    return self._folder / f"{setting.slug}_seed{seed}{ending}"

  def _videos_file(self, seed: int) -> pathlib.Path:
    """The file of the reference's whole videos, as floats."""
    return self._file(self._reference, seed, "_videos.npy")


def _check(run: Any) -> None:
  """Refuses a run whose samplers cannot be compared."""
  if "process" not in run.config.raw:
    raise errors.UserError(
      f"The run in {run.workdir} is of the task {run.config.task!r}, which has "
      "no section `process` whose steps could be fewer; give the --workdir of "
      "a run of image_diffusion or video_diffusion."
    )
