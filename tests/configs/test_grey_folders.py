"""Folders of images of any size and channels, without a field set by hand."""

import pathlib

import numpy as np
import pytest
from PIL import Image

from pseudovideo import data
from pseudovideo.config import parsing
from tests import traced_tasks
from tests.config import drawn_configs as drawn


@pytest.fixture(autouse=True)
def cache_home(tmp_path_factory, monkeypatch) -> None:
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


CASES = [
  (file, argument)
  for file, argument in drawn.tiny_cases()
  if "dataset=" not in argument
] + [("latent_diffusion", "preset=tiny")]
# One case of each file.
FIRST = list({file: (file, argument) for file, argument in CASES}.values())


def made(folder: pathlib.Path, file, argument, side: int):
  """Config and task for a folder of grey images."""
  pixels = np.random.default_rng(0).integers(0, 256, (3, side, side), np.uint8)
  for i, image in enumerate(pixels):
    Image.fromarray(image).save(folder / f"{i}.png")
  with_folder = f"dataset=folder:{folder},{argument}"
  config = parsing.parse(drawn.complete(file, with_folder))
  shape = data.load(config.data.name).image_shape
  assert shape == (side, side, 1)
  return config, config.make_task(shape)


@pytest.mark.parametrize("side", [8, 16, 28])
@pytest.mark.parametrize("file, argument", CASES)
def test_grey_images_have_a_task(tmp_path, file, argument, side: int):
  _, task = made(tmp_path, file, argument, side)
  assert task.image_shape == (side, side, 1)


@pytest.mark.slow("traces everything that is compiled")
@pytest.mark.parametrize("file, argument", FIRST)
def test_grey_images_fit_all_programs(tmp_path, file, argument):
  config, task = made(tmp_path, file, argument, 16)
  traced_tasks.trace(config, task, traced_tasks.optimizer(config, task))
