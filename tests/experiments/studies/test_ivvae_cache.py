"""A long clip in one shot, by overlap and with the cache."""

import json

import jax
import numpy as np
import pytest

from benchmarks import weights
from experiments.studies import ivvae_cache
from pseudovideo.models.video_vae import iv_vae

# Convolutions alone: two latents far apart have nothing to do with each other.
NET = iv_vae.IVVAE(
  base=2, latent_channels=2, multipliers=(1, 1), blocks=1, temporal=(True,),
  attention=(), rates=(),
)  # fmt: skip
LENGTHS = (5, 9)


@pytest.fixture(scope="module")
def params():
  image = np.zeros((1, 1, 8, 8, 3), np.float32)
  return weights.random(NET.init, jax.random.key(0), image)["params"]


@pytest.fixture(scope="module")
def coded(params):
  """Way, length -> latents, video, and the plan's megabytes of both coders."""
  found = {}
  for way in ivvae_cache.WAYS:
    for length in LENGTHS:
      rng = np.random.default_rng(1)
      clip = rng.uniform(-1, 1, (1, 9, 8, 8, 3)).astype(np.float32)[:, :length]
      latents = np.zeros((1, (length + 1) // 2, 4, 4, 2), np.float32)
      video, plans = np.zeros_like(clip), []
      for method, x, out in (
        ("encode", clip, latents),
        ("decode", latents, video),
      ):
        chunk = {"encode": 4, "decode": 2}[method]
        coder = ivvae_cache.Coder(NET, params, method, way, x, chunk)
        coder(x, out)
        plans.append(coder.megabytes)
      found[way, length] = latents, video, plans
  return found


def test_pieces_of_nine_frames():
  cut = {way: ivvae_cache.pieces(way, 9, 4) for way in ivvae_cache.WAYS}
  assert cut == {
    "one_shot": [(0, 9, False, 0)],
    "overlap": [(0, 5, False, 0), (4, 9, False, 1)],
    "cache": [(0, 1, False, 0), (1, 5, True, 0), (5, 9, True, 0)],
  }


@pytest.mark.parametrize("length", LENGTHS)
def test_the_cache_gives_what_one_shot_gives(coded, length):
  for ours, whole in zip(
    coded["cache", length][:2], coded["one_shot", length][:2], strict=True
  ):
    np.testing.assert_allclose(ours, whole, atol=1e-4)


def test_overlap_forgets_what_was_before_its_piece(coded):
  latents, video, _ = coded["overlap", 9]
  whole, frames, _ = coded["one_shot", 9]
  # The first piece is the clip's beginning, 5 frames and 3 latents.
  np.testing.assert_allclose(latents[:, :3], whole[:, :3], atol=1e-4)
  np.testing.assert_allclose(video[:, :5], frames[:, :5], atol=1e-4)
  # Three convolutions look a frame back each: latent 3, of the frames 5 and 6,
  # sees frame 2, which its piece lacks, latent 4 sees frame 4, which it has.
  assert np.abs(latents[:, 3] - whole[:, 3]).max() > 1e-3
  np.testing.assert_allclose(latents[:, 4], whole[:, 4], atol=1e-4)
  assert np.abs(video[:, 5:] - frames[:, 5:]).max() > 1e-3


def test_only_one_shot_plans_more_memory_for_a_longer_clip(coded):
  for way in ("overlap", "cache"):
    assert coded[way, 5][2] == coded[way, 9][2]
  for short, long in zip(
    coded["one_shot", 5][2], coded["one_shot", 9][2], strict=True
  ):
    assert 1.5 < long / short < 2.5


@pytest.mark.slow("compiles a video VAE in a process of its own")
def test_a_case_has_a_process_and_the_file_says_what_it_was(
  tmp_path, monkeypatch, capsys
):
  written = tmp_path / "tiny.json"
  size = ivvae_cache.Size(NET, (3,), 8, 2)
  monkeypatch.setitem(ivvae_cache.PRESETS, "tiny", size)
  flags = ["--preset=tiny", "--ways=cache,one_shot", f"--out={written}"]
  assert ivvae_cache.main(["run", *flags]) == 0
  record = json.loads(written.read_text())
  assert [row["way"] for row in record["rows"]] == ["one_shot", "cache"]
  whole, cached = record["rows"]
  assert whole["latents_error"] == whole["video_error"] == 0
  assert cached["video_error"] < 1e-4 < cached["video_rms"]
  for row in record["rows"]:
    assert row["cpu_seconds"] == pytest.approx(
      row["encode_cpu_seconds"] + row["decode_cpu_seconds"]
    )
    assert row["planned_mb"] > 0 and row["seconds"] > 0
  assert record["weights"] == "random"
  assert record["size"]["base"] == 2
  assert record["provenance"]["device"]["platform"] == "cpu"
  # The table has the paper's numbers beside ours.
  capsys.readouterr()
  argv = ["report", f"--results={written}", "--format=md"]
  assert ivvae_cache.main(argv) == 0
  printed = capsys.readouterr().out
  cells = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in printed.splitlines()
    if line.startswith("|")
  ]
  assert [line[0] for line in cells[2:4]] == ["one shot", "cache"]
  assert {(*line[:2], line[4], line[6]) for line in cells[4:]} == {
    ("paper, one shot", "49x1024x1024", "76,300", "12.7"),
    ("paper, overlap", "49x1024x1024", "14,300", "14.7"),
    ("paper, cache", "49x1024x1024", "14,100", "13.0"),
  }
  assert "Frames of 8x8, base 2, Z = 2" in printed


def test_flags_change_the_preset():
  values = ivvae_cache.define_flags("run")
  values(["run", "--side=32", "--base=8", "--frames=5,13", "--chunk=4"])
  size = ivvae_cache.chosen_size(values)
  small = ivvae_cache.PRESETS["small"]
  # Of 8 latents' side, which dilations of 9 and more would see nothing of.
  net = small.net.clone(base=8, rates=(1, 3, 6))
  assert size == (net, (5, 13), 32, 4)


def test_presets_can_be():
  for name in ivvae_cache.PRESETS:
    values = ivvae_cache.define_flags("run")
    values(["run", f"--preset={name}"])
    assert ivvae_cache.chosen_size(values) == ivvae_cache.PRESETS[name]


MISTAKES = [
  ([], "The first argument must be run or report; got ''."),
  (["run", "--frames=9,8"], "got 8: use 5 or 9"),
  (["run", "--frames=13", "--chunk=8"], "1 + n times --chunk=8"),
  (["run", "--frames=9.5"], "whole numbers"),
  (["run", "--chunk=6"], "got 6: use 4 or 8"),
  (["run", "--side=30"], "multiple of 4"),
  (["run", "--ways=caches"], "did you mean 'cache'"),
  (["run", "--repeats=0"], "--repeats must be at least 1; got 0."),
  (["report"], "--results=FILE"),
]


def test_a_mistake_is_one_sentence(capsys):
  for argv, sentence in MISTAKES:
    assert ivvae_cache.main(argv) == 2
    assert sentence in capsys.readouterr().err
