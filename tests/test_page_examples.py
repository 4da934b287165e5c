"""What README and docs/ show in Python does what it says."""

import pathlib
import re

import jax
import numpy as np
import pytest

from configs import video_diffusion
from pseudovideo import augmentations, data, runs, tasks
from pseudovideo.config import parsing
from pseudovideo.evaluation import evaluate
from pseudovideo.metrics import pair_metrics
from pseudovideo.training import loop as training

ROOT = pathlib.Path(__file__).parents[1]
TABLES = (
  augmentations.TABLE,
  data.FACTS,
  data.SETS,
  pair_metrics.METRICS,
  tasks.TABLE,
)


def blocks(page):
  return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.S)


def run(page):
  """Runs the blocks of a page in their order, as one file."""
  exec(compile("\n".join(blocks(page)), page, "exec"), {})


@pytest.fixture(scope="module", autouse=True)
def _examples():
  """Everything that may be added is; tables are put back."""
  before = [dict(table) for table in TABLES]
  run("docs/extending.md")
  yield
  for table, entries in zip(TABLES, before, strict=True):
    table.clear()
    table |= entries


def test_the_corruption_ends_in_the_image_and_trains(key):
  images = jax.random.uniform(key, (2, 8, 8, 1), minval=-1.0)
  video = augmentations.make("fade", frames=5)(images, key=key)
  shares = np.array([0, 0.2, 0.4, 0.6])
  expected = shares[None, :, None, None, None] * np.asarray(images)[:, None]
  np.testing.assert_allclose(video[:, :-1], expected, atol=1e-6)
  np.testing.assert_array_equal(video[:, -1], images)
  raw = parsing.complete(video_diffusion.get_config("preset=tiny"))
  raw["augmentation"] = {"name": "fade", "frames": 4}
  task = parsing.parse(raw).make_task((8, 8, 1))
  assert task.augmentation == augmentations.make("fade", frames=4)


def test_the_data_set_can_be_loaded():
  digits, negatives = data.load("digits"), data.load("negatives")
  np.testing.assert_array_equal(255 - negatives.test_images, digits.test_images)
  assert negatives.fingerprint != digits.fingerprint


def test_the_metric_measures():
  rng = np.random.default_rng(0)
  first, second = rng.integers(0, 256, (2, 6, 4, 4, 3), np.uint8)
  blocks = [(first[:4], second[:4]), (first[4:], second[4:])]
  found = pair_metrics.records(blocks, ["brightness"])["brightness"]
  expected = second.astype(float).mean() - first.astype(float).mean()
  assert found["value"] == pytest.approx(expected, abs=1e-9)


@pytest.fixture(scope="module")
def mean_run(tmp_path_factory):
  """A run of the system that the page adds, on the data set that it adds."""
  workdir = tmp_path_factory.mktemp("mean")
  raw = parsing.complete(
    {
      "data": {"name": "negatives"},
      "task": {"name": "mean_image", "noise": 0.0},
      "optimizer": {"learning_rate": 0.1, "ema_decay": 0.5},
      "train": {
        "steps": 60, "batch_size": 64, "eval_every": 0, "save_every": 60,
        "log_every": 60, "grid": 4,
      },
      "evaluate": {"num_samples": 16, "batch_size": 8},
    }
  )  # fmt: skip
  assert training.train(raw, workdir).step == 60
  return runs.restore(workdir)


def test_the_system_is_trained(mean_run):
  images = mean_run.image_set.train_images / 127.5 - 1
  mean = mean_run.params["mean"]
  assert np.abs(mean - images.mean(0)).max() < 0.15, "the averaged weights"


@pytest.mark.slow("trains a classifier for the data set of the page")
def test_the_system_is_scored(mean_run):
  record = evaluate.evaluate(mean_run)
  assert record["metrics"]["generated"]["FD-negativescls"]["value"] > 1


def test_the_front_page_adds_a_corruption_too(key):
  del augmentations.TABLE["fade"]
  run("README.md")
  images = jax.random.uniform(key, (2, 8, 8, 1))
  video = augmentations.make("fade", frames=3)(images, key=key)
  np.testing.assert_array_equal(video[:, -1], images)


@pytest.mark.slow("trains, samples and scores as the page does")
def test_python_trains_loads_samples_and_scores(tmp_path, monkeypatch, capsys):
  monkeypatch.chdir(tmp_path)
  monkeypatch.syspath_prepend(str(ROOT))
  run("docs/python.md")
  printed = capsys.readouterr().out
  assert "20 None" in printed and "(16, 8, 8, 1) uint8" in printed
  assert "FD-digitscls" in printed and "(8, 4, 8, 8, 1) True" in printed
