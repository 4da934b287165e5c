"""Exposure: the last frame after more and more real frames."""

import dataclasses

import jax
import numpy as np
import pytest

from experiments.studies import exposure
from pseudovideo import data, keys, pixels, runs
from pseudovideo.runs import results
from pseudovideo.tasks import video_diffusion


@pytest.fixture(scope="module")
def run(tiny_video_run):
  return runs.restore(tiny_video_run)


def test_without_real_frames_it_is_ordinary_sampling(run):
  """The pseudo videos are drawn, and none of their frames is used."""
  ours = exposure.last_frames(run, 0, 6)
  rows = keys.example_keys(jax.random.key(run.config.evaluate.seed), 6)
  sample = jax.jit(run.task.sample, static_argnames="num")
  video = sample(run.params, run.extra, key=keys.named(rows, "samples"), num=6)
  expected = pixels.to_uint8(video[:, -1], run.task.value_range)
  assert np.abs(np.int32(ours) - np.int32(expected)).max() <= 1


class Copying(video_diffusion.VideoDiffusion):
  """Repeats the frame before the ones that it was to generate."""

  def complete(self, params, video, first, *, key):
    known = self.stages[first][1][0]
    return video.at[:, known:].set(video[:, known - 1 : known])


def test_real_frames_are_those_of_the_images_it_is_compared_with(run):
  """The frame before the image is the image with noise of deviation 0.01."""
  copying = dataclasses.replace(run, task=Copying(**vars(run.task)))
  real = data.spread(run.image_set.train_images, 6).astype(float)
  error = exposure.last_frames(copying, 2, 6) - real
  assert 0.3 < np.abs(error).mean() < 2.5
  assert np.abs(exposure.last_frames(copying, 1, 6) - real).mean() > 5


def test_the_command_writes_and_prints_all_lines(
  run, tiny_video_run, tmp_path, capsys, monkeypatch
):
  drawn = []

  def last_frames(run, first, num):
    """Held-out images, the better the more frames are real."""
    drawn.append((first, num))
    return run.image_set.test_images[:num] // (4 - first)

  monkeypatch.setattr(exposure, "last_frames", last_frames)
  out = tmp_path / "exposure.json"
  argv = [f"--workdir={tiny_video_run}", "--num_samples=6", f"--out={out}"]
  assert exposure.main(argv) == 0
  assert drawn == [(0, 6), (1, 6), (2, 6)]
  text = capsys.readouterr().out
  rows = results.read(out)["metrics"]
  assert set(rows) == {"generated", "0", "2", "3", "real"}
  assert rows["generated"] == rows["0"]
  for label in ("0 real frames", "2 real frames", "3 real frames", "held-out"):
    assert label in text
  for name, score in rows["3"].items():
    assert name in text
    assert f"{score['value']:.3f}" in text


def test_a_run_without_earlier_frames_is_refused(tiny_run, capsys):
  assert exposure.main([f"--workdir={tiny_run}"]) == 2
  assert "is of 'heat_hvae'" in capsys.readouterr().err
