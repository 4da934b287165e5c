"""Every benchmark as a command: its smallest run, its mistakes, its help."""

import contextlib
import io
import json
import re
import sys

import pytest

from benchmarks import (
  convolutions,
  damage,
  diffusion_step,
  fits,
  full_disk,
  kill,
  metrics,
  state_memory,
  surroundings,
  token_sampling,
  tokenizer_step,
  train_step,
  video_vae,
)
from benchmarks.growth import __main__ as growth
from benchmarks.peers import __main__ as peers
from pseudovideo.models import video_unet
from pseudovideo.models.video_vae import iv_vae

TINY = "--config=configs/hvae.py:preset=tiny"
SHALLOW = [
  TINY, "--config.task.levels=2", "--config.model.multipliers=(1,)",
  "--config.model.attention=()",
]  # fmt: skip


def changed(patch, benchmark, change):
  """Lets `make_task` of a benchmark return narrower networks."""
  make = benchmark.make_task
  patch.setattr(
    benchmark, "make_task", lambda *args, **kw: change(make(*args, **kw))
  )


def with_fields(frozen, **fields):
  for name, value in fields.items():
    object.__setattr__(frozen, name, value)
  return frozen


def narrow_priors(patch):
  def change(task):
    coder = with_fields(
      task.coder,
      model=task.coder.model.clone(
        width=8, heads=1, head_width=4, spatial_layers=1
      ),
    )
    with_fields(coder.quantizer, width=8)
    model = task.model.clone(width=12, heads=2, layers=1)
    return with_fields(task, model=model, coder=coder)

  changed(patch, token_sampling, change)


def narrow_tokenizer(patch):
  def change(made):
    config, task = made
    model = task.model.clone(spatial_layers=1, heads=1, head_width=4)
    return config, with_fields(task, model=model)

  changed(patch, tokenizer_step, change)


def narrow_diffusion(patch):
  row = diffusion_step.Row("video", 8, 2)
  task = diffusion_step.make_task(
    "video", (4, 4, 3), channels=8, multipliers=(1,), blocks=1, attention=(),
    heads=2, groups=4,
  )  # fmt: skip
  patch.setattr(diffusion_step, "ROWS", {"tiny": row})
  patch.setattr(diffusion_step, "make_task", lambda *_, **__: task)


def narrow_autoencoders(patch):
  net = iv_vae.IVVAE(
    base=2, latent_channels=2, multipliers=(1, 1), blocks=1, temporal=(True,),
    attention=(), rates=(),
  )  # fmt: skip
  unet = video_unet.VideoUNet(
    channels=16, multipliers=(1,), blocks=1, attention=(), heads=2, groups=4
  )
  tiny = {
    "authors": video_vae.Row(net, (3, 8, 8, 3)),
    "pixels": video_vae.Row(unet, (5, 16, 16, 3)),
    "latents": video_vae.Row(unet, (2, 4, 4, 8)),
  }
  patch.setattr(video_vae, "ROWS", tiny)


def shallow_training(patch):
  command = kill.command
  patch.setattr(
    kill, "command", lambda *args, **kw: [*command(*args, **kw), *SHALLOW[1:]]
  )


def check_train_step(record):
  values = record["values"]
  assert values["images_per_second"] * values["seconds"] == pytest.approx(16)
  assert min(values.values()) > 0
  assert values["sampled_images_per_second"] > 0
  assert record["config"]["train"]["batch_size"] == 16


def check_diffusion_step(record):
  found = record["values"]["tiny"]
  assert min(found.values()) > 0
  assert {"batch", "parameters", "pseudo_video_share"} <= set(found)
  for step in ("train", "denoise"):
    rate, seconds = (
      found[f"{step}_{name}"] for name in ("gflops_per_second", "seconds")
    )
    assert rate * seconds == pytest.approx(found[f"{step}_gflop"])
    assert found[f"{step}_seconds_min"] <= seconds
    assert found[f"{step}_compile_seconds"] > 0
    assert found[f"{step}_model_flop_utilization"] == pytest.approx(rate / 1e3)
  # Parameters, their average and two moments, float32.
  assert found["train_xla_memory_gb"] > 16e-9 * found["parameters"]
  # One forward pass and two gradients, against one forward pass.
  assert 2.5 < found["train_gflop"] / found["denoise_gflop"] < 3.5


def check_tokenizer_step(record):
  found = record["values"]["frames_1"]
  assert min(found.values()) > 0
  assert found["tokens"] == 64
  assert found["tokens_per_second"] == pytest.approx(
    2 * 64 / found["encode_seconds"]
  )
  # An update encodes, and does more.
  assert found["train_gflop"] > found["encode_gflop"]


def check_token_sampling(record):
  assert record["batch"] == {"next_64": 1, "masked_64": 1}
  for row in record["values"].values():
    assert min(row.values()) > 0
    seconds = row["cpu_seconds"]
    assert row["cpu_seconds_per_grid"] == pytest.approx(seconds)
    assert row["tokens_per_cpu_second"] == pytest.approx(64 / seconds)
    assert row["tokens_per_second"] == pytest.approx(64 / row["seconds"])


def check_video_vae(record):
  if sys.platform == "linux":
    assert record["values"]["authors"]["resident_mb"] > 0
  assert record["shapes"]["latents"] == [2, 4, 4, 8]
  for row in record["values"].values():
    assert row["gflop"] > 0 and row["cpu_seconds"] > 0
  # A frame has 16 times the pixels, and costs more: attention grows faster,
  # and XLA does not count taps on padding, which small pictures have more of.
  ratio = record["pixels_over_latents"]
  assert 16 < ratio["gflop_per_frame"] < 2 * 16
  assert ratio["gflop"] == pytest.approx(2.5 * ratio["gflop_per_frame"])
  pixels, latents = (record["values"][n] for n in ("pixels", "latents"))
  assert ratio["cpu_seconds"] == pytest.approx(
    pixels["cpu_seconds"] / latents["cpu_seconds"]
  )


def few_convolutions(patch):
  patch.setattr(convolutions, "ROWS", {"tiny": (2, 4, 3)})


def check_convolutions(record):
  assert record["values"]["tiny"].pop("taken") == 0
  assert min(record["values"]["tiny"].values()) > 0


def check_damage(record):
  for found in record["values"].values():
    assert found["fates"]["silent"] == found["fates"]["unnamed"] == 0
    # Of caches every byte is read.
    assert found["fates"]["detected"] == 3


def check_surroundings(record):
  assert record["values"] == {
    name: {"attacks": 1, "wrong": []} for name in ("names", "data")
  }


def check_kill(record):
  found = record["values"]["kill"]
  assert found["good"] and found["kills"] == len(found["each"]) == 1
  assert found["lines"] == found["steps"] and found["arrays"] > 50


# Benchmark -> its arguments, what is made smaller, and what its record holds.
SMALLEST = {
  convolutions: (["--repeats=1"], few_convolutions, check_convolutions),
  train_step: (
    [*SHALLOW, "--repeats=1", "--sampling"],
    None,
    check_train_step,
  ),
  diffusion_step: (
    ["--rows=tiny", "--repeats=2", "--peak_tflops=1"],
    narrow_diffusion,
    check_diffusion_step,
  ),
  tokenizer_step: (
    ["--rows=frames_1", "--repeats=1", "--width=8"],
    narrow_tokenizer,
    check_tokenizer_step,
  ),
  token_sampling: (
    ["--rows=next_64,masked_64", "--repeats=1"],
    narrow_priors,
    check_token_sampling,
  ),
  video_vae: (["--repeats=1"], narrow_autoencoders, check_video_vae),
  damage: (
    ["--rows=data_cache,tokens_cache,tokens", "--damages=3"],
    None,
    check_damage,
  ),
  surroundings: (
    ["--rows=names,data", "--attacks=1", "--seed=3"],
    None,
    check_surroundings,
  ),
  kill: (["--kills=1", "--sigterm=0"], shallow_training, check_kill),
}


def name_of(benchmark):
  return benchmark.__name__.removesuffix(".__main__").rpartition(".")[2]


@pytest.mark.slow("runs a benchmark")
@pytest.mark.parametrize("benchmark", SMALLEST, ids=name_of)
def test_the_smallest_run_prints_and_writes_its_numbers(
  benchmark, tmp_path, monkeypatch
):
  argv, narrow, check = SMALLEST[benchmark]
  if narrow is not None:
    narrow(monkeypatch)
  out = tmp_path / "record.json"
  with contextlib.redirect_stdout(io.StringIO()) as printed:
    assert benchmark.run([*argv, f"--out={out}"]) == 0
  record = json.loads(out.read_text())
  assert record["provenance"]["device"]["platform"] == "cpu"
  check(record)
  said = printed.getvalue()
  for name, found in record["values"].items():
    assert name in said
    if benchmark not in (train_step, damage, kill, surroundings):
      assert all(field in said for field in found)


REPEATS = (["--repeats=0"], "--repeats must be at least 1; got 0")
MISTAKES = {
  convolutions: [(["--rows=6x32"], "no --rows named '6x32'"), REPEATS],
  damage: [
    (["--rows=token"], "no --rows named 'token'"),
    (["--damages=0"], "--damages must be at least 1; got 0"),
    (["--config=configs/hvae.py"], "takes no config"),
  ],
  diffusion_step: [
    (["--rows=image"], "no --rows named 'image'"),
    (["--peak_tflops=fast"], "a positive number; got 'fast'"),
    REPEATS,
  ],
  fits: [(["--rows=hvae"], "no --rows named 'hvae'")],
  full_disk: [
    (["--rows=all"], "no --rows named 'all'"),
    (["--sizes=0"], "--sizes must be at least 1; got 0"),
  ],
  growth: [
    (["--rows=hvae"], "no --rows named 'hvae'"),
    (["--axes=width"], "no --axes named 'width'"),
    (["--rows=heat_hvae", "--axes=tokens"], "it has frames, side, batch."),
    REPEATS,
  ],
  kill: [
    (["--kills=-1"], "--kills must be at least 0; got -1"),
    (["--workdir=tests"], "is not empty"),
  ],
  metrics: [
    (["--rows=fid"], "no --rows named 'fid'"),
    (["--stream=0"], "--stream must be at least 1; got 0"),
    (["--images=-1"], "--images must be at least 0; got -1"),
  ],
  peers: [
    (["--rows=image"], "no --rows named 'image'"),
    (["--threads=0"], "--threads must be positive numbers"),
    REPEATS,
  ],
  state_memory: [
    ([TINY, "--devices=0"], "from 1 to 4, with commas; got '0'"),
    ([TINY, "--devices=two"], "got 'two'"),
    ([TINY, "--devices=8"], "got '8'"),
    ([TINY, "--devices=3", "--noplan"], "number of devices, 3; got 16"),
    ([TINY, "--topology=x"], "needs libtpu"),
  ],
  surroundings: [
    (["--rows=name"], "no --rows named 'name'"),
    (["--attacks=0"], "--attacks must be at least 1; got 0"),
  ],
  token_sampling: [(["--rows=next_65"], "named 'next_65'"), REPEATS],
  tokenizer_step: [(["--rows=frames_2"], "named 'frames_2'"), REPEATS],
  train_step: [
    ([], "--config="),
    ([TINY, *REPEATS[0]], REPEATS[1]),
  ],
  video_vae: [(["--rows=author"], "did you mean"), REPEATS],
}


@pytest.mark.parametrize("benchmark", MISTAKES, ids=name_of)
def test_mistakes_are_sentences(benchmark, capsys):
  for argv, sentence in MISTAKES[benchmark]:
    assert benchmark.main(argv) == 2
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1
  assert benchmark.main(["--help"]) == 0
  said = capsys.readouterr().out
  for flag in re.findall(r"--(\w+)=", benchmark.__doc__):
    assert f"--{flag}" in said


@pytest.mark.parametrize("benchmark", MISTAKES, ids=name_of)
def test_a_file_that_cannot_be_written_is_found_first(
  benchmark, tmp_path, capsys
):
  needed = {train_step: [TINY], state_memory: [TINY, "--devices=1"]}
  argv = [*needed.get(benchmark, ()), f"--out={tmp_path}"]
  assert benchmark.main(argv) == 2
  assert "it is a folder" in capsys.readouterr().err


def test_help_says_something_of_every_flag(capsys):
  assert tokenizer_step.main(["--help"]) == 0
  printed = capsys.readouterr().out
  for name in ("rows", "repeats", "width", "out"):
    assert re.search(rf"^  --{name} +[A-Z].*\.", printed, re.M), name


# Rows.


def test_rows_are_the_networks_of_the_paper():
  for row in diffusion_step.ROWS.values():
    task = diffusion_step.make_task(row.kind, channels=row.channels)
    task.check()
    assert task.network_evaluations == diffusion_step.EVALUATIONS
    assert task.model.channels == row.channels
    if row.kind == "video":
      assert max(len(a) + len(b) for a, b in task.stages) == 3
  for row in tokenizer_step.ROWS.values():
    config, task = tokenizer_step.make_task(row)
    assert task.model.width == 512 and config.train.batch_size == 64
    assert task.augmentation.frames == row.frames
    assert task.adversarial == row.adversarial
  for row in token_sampling.ROWS.values():
    task = token_sampling.make_task(row)
    tokens = {1: 64, 8: 256, 18: 576}[row.frames]
    assert task.num_tokens == tokens and task.coder.num_codes == 1024
    if row.order == "next":
      assert (task.model.width, task.model.layers) == (144, 8)
    else:
      assert (task.model.width, task.model.layers) == (512, 6)
      assert task.network_evaluations == 18


def test_autoencoders_and_what_learns_from_them():
  authors, small, pixels, latents = (
    video_vae.ROWS[name] for name in ("authors", "small", "pixels", "latents")
  )
  # Whose parameters are counted where it is converted.
  assert authors.net == iv_vae.IVVAE(latent_channels=4)
  assert authors.net.latent_shape(authors.shape[:3]) == (5, 8, 8, 4)
  assert small.net.latent_shape(small.shape[:3]) == (5, 8, 8, 8)
  # One network sees pixels and what a video VAE makes of them.
  assert pixels.net is latents.net
  assert small.net.latent_shape(pixels.shape[:3]) == latents.shape
