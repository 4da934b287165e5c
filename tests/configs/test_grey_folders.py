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


@pytest.mark.parametrize("side", [8, 16, 28])
@pytest.mark.parametrize("file, argument", CASES)
def test_grey_images(tmp_path: pathlib.Path, file, argument, side: int):
  """The task is made; of one case per file, its step is traced for shapes."""
  pixels = np.random.default_rng(0).integers(0, 256, (3, side, side), np.uint8)
  for i, image in enumerate(pixels):
    Image.fromarray(image).save(tmp_path / f"{i}.png")
  with_folder = f"dataset=folder:{tmp_path},{argument}"
  config = parsing.parse(drawn.complete(file, with_folder))
  shape = data.load(config.data.name).image_shape
  assert shape == (side, side, 1)
  task = config.make_task(shape)
  if (file, argument) in FIRST and side == 16:
    traced_tasks.trace(config, task, traced_tasks.optimizer(config, task))
