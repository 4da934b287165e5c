import json
import sys

import jax
import jax.numpy as jnp
import pytest

from benchmarks import video_vae
from pseudovideo.models import video_unet
from pseudovideo.models.video_vae import iv_vae


@pytest.fixture(scope="module")
def record(tmp_path_factory):
  """Of narrow networks, without attention."""
  out = tmp_path_factory.mktemp("measured") / "vae.json"
  net = iv_vae.IVVAE(
    base=2, latent_channels=2, multipliers=(1, 1), blocks=1, temporal=(True,),
    attention=(), rates=(),
  )  # fmt: skip
  unet = video_unet.VideoUNet(
    channels=16, multipliers=(1,), blocks=1, attention=(), heads=2, groups=4
  )
  tiny = {
    "authors": video_vae.Row(net, (3, 8, 8, 3), 2.0, 100.0),
    "pixels": video_vae.Row(unet, (5, 16, 16, 3)),
    "latents": video_vae.Row(unet, (2, 4, 4, 8)),
  }
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(video_vae, "ROWS", tiny)
    assert video_vae.run(["--repeats=1", f"--out={out}"]) == 0
  return json.loads(out.read_text())


@pytest.mark.slow
def test_values_fit_together(record):
  found = record["values"]["authors"]
  assert found["cpu_seconds_over_peer"] == found["cpu_seconds"] / 2
  if sys.platform == "linux":
    assert found["resident_mb_over_peer"] == found["resident_mb"] / 100
  assert record["peer"]["cpu_seconds"]["authors"] == 2
  assert record["shapes"]["latents"] == [2, 4, 4, 8]
  for row in record["values"].values():
    assert row["gflop"] > 0 and row["cpu_seconds"] > 0


@pytest.mark.slow
def test_convolutions_cost_as_many_times_more_as_there_are_pixels(record):
  """16 per frame for a quarter of the side, and more: attention grows faster,
  and XLA does not count taps on padding, which small pictures have more of.
  """
  ratio = record["pixels_over_latents"]
  assert 16 < ratio["gflop_per_frame"] < 2 * 16
  assert ratio["gflop"] == pytest.approx(2.5 * ratio["gflop_per_frame"])
  pixels, latents = (record["values"][n] for n in ("pixels", "latents"))
  assert ratio["cpu_seconds"] == pytest.approx(
    pixels["cpu_seconds"] / latents["cpu_seconds"]
  )


@pytest.mark.parametrize(
  "name, parameters, latents",
  [("authors", 107_170_842, (5, 8, 8, 4)), ("small", 3.92e6, (5, 8, 8, 8))],
)
def test_autoencoders_are_the_published_ones(name, parameters, latents):
  row = video_vae.ROWS[name]
  assert row.net.latent_shape(row.shape[:3]) == latents
  image = jnp.zeros((1, 1, *row.shape[1:]))
  shapes = jax.eval_shape(row.net.init, jax.random.key(0), image)
  count = sum(x.size for x in jax.tree.leaves(shapes))
  assert count == pytest.approx(parameters, rel=2e-3 if name == "small" else 0)


def test_one_network_sees_pixels_and_what_a_video_vae_makes_of_them():
  pixels, latents = (video_vae.ROWS[name] for name in ("pixels", "latents"))
  assert pixels.net is latents.net
  net = video_vae.ROWS["small"].net
  assert net.latent_shape(pixels.shape[:3]) == latents.shape


@pytest.mark.parametrize(
  "arguments, sentence",
  [
    (["--rows=author"], "no --rows named 'author'; did you mean"),
    (["--repeats=0"], "--repeats must be at least 1; got 0."),
  ],
)
def test_a_mistake_is_one_sentence(capsys, arguments, sentence):
  assert video_vae.main(arguments) == 2
  assert sentence in capsys.readouterr().err
