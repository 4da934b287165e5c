"""The benchmark compares like with like, and runs."""

import json

import numpy as np
import pytest

from benchmarks import augmentations as benchmark
from pseudovideo import augmentations


def test_the_convolutions_make_the_same_video():
  images = np.random.default_rng(0).uniform(size=(2, 12, 9, 3)).astype("f4")
  np.testing.assert_allclose(
    benchmark.convolution_blur(images, frames=10),
    augmentations.make("blur", frames=10)(images),
    atol=1e-6,
  )


def test_it_prints_and_writes_every_row(tmp_path, capsys):
  out = tmp_path / "cost.json"
  small = ["--frames=3", "--size=8", "--batch=2", "--repeats=1"]
  assert benchmark.main([*small, f"--out={out}"]) == 0
  printed = capsys.readouterr().out
  rows = json.loads(out.read_text())["rows"]
  assert {row["name"] for row in rows} > set(augmentations.TABLE)
  for row in rows:
    assert row["name"] in printed
    assert row["us_per_image"] > 0


@pytest.mark.parametrize(
  ("argument", "said"),
  [
    ("--frames=1", "--frames must be at least 2; got 1."),
    ("--repeats=0", "--repeats must be at least 1; got 0."),
    ("--size=x", "--size must be"),
    ("--bath=3", "did you mean '--batch'"),
    ("--config=configs/hvae.py", "takes no config"),
  ],
)
def test_a_mistake_is_one_sentence(capsys, argument, said):
  assert benchmark.main([argument]) == 2
  assert said in capsys.readouterr().err
