import contextlib
import io
import json

import pytest

from benchmarks import diffusion_step

TIMES = (
  "seconds",
  "seconds_min",
  "gflop",
  "gflops_per_second",
  "compile_seconds",
  "xla_memory_gb",
)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
  """The JSON record of a tiny row, and what was printed."""
  row = diffusion_step.Row("video", 8, 2, train=1.0, denoise=1.0)
  task = diffusion_step.make_task(
    "video", (4, 4, 3), channels=8, multipliers=(1,), blocks=1, attention=(),
    heads=2, groups=4,
  )  # fmt: skip
  out = tmp_path_factory.mktemp("measured") / "step.json"
  command = ["--rows=tiny", "--repeats=2", "--peak_tflops=1", f"--out={out}"]
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(diffusion_step, "ROWS", {"tiny": row})
    patch.setattr(diffusion_step, "make_task", lambda *_, **__: task)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
      assert diffusion_step.run(command) == 0
  return json.loads(out.read_text()), printed.getvalue()


@pytest.mark.slow
def test_a_row_has_all_fields_and_they_fit_together(measured):
  found = measured[0]["values"]["tiny"]
  expected = {f"{step}_{t}" for step in ("train", "denoise") for t in TIMES}
  expected |= {"batch", "parameters", "pseudo_video_share"}
  assert expected <= set(found)
  assert min(found.values()) > 0
  for step in ("train", "denoise"):
    rate, seconds = (
      found[f"{step}_{name}"] for name in ("gflops_per_second", "seconds")
    )
    assert rate * seconds == pytest.approx(found[f"{step}_gflop"])
    assert found[f"{step}_seconds_min"] <= seconds
  # Parameters, their average and two moments, float32.
  assert found["train_xla_memory_gb"] > 16e-9 * found["parameters"]
  # One forward pass and two gradients, against one forward pass.
  assert 2.5 < found["train_gflop"] / found["denoise_gflop"] < 3.5


@pytest.mark.slow
def test_it_is_compared_with_the_peer_and_the_peak(measured):
  record, printed = measured
  found = record["values"]["tiny"]
  for step in ("train", "denoise"):
    assert found[f"{step}_seconds_over_peer"] == found[f"{step}_seconds"]
    assert found[f"{step}_model_flop_utilization"] == pytest.approx(
      found[f"{step}_gflops_per_second"] / 1e3
    )
  for name in found:
    assert name in printed
  assert record["provenance"]["device"]["platform"] == "cpu"
  assert record["peer"]["rows"]["tiny"]["train"] == 1.0


@pytest.mark.parametrize("row", diffusion_step.ROWS)
def test_the_rows_are_the_networks_of_the_paper(row):
  kind, channels, *_ = diffusion_step.ROWS[row]
  task = diffusion_step.make_task(kind, channels=channels)
  task.check()
  assert task.network_evaluations == diffusion_step.EVALUATIONS
  assert task.model.channels == channels
  if kind == "video":
    assert max(len(a) + len(b) for a, b in task.stages) == 3


@pytest.mark.parametrize(
  "arguments, sentence",
  [
    (["--rows=image"], "no --rows named 'image'"),
    (["--repeats=0"], "--repeats must be at least 1; got 0."),
    (["--peak_tflops=fast"], "must be a positive number; got 'fast'."),
  ],
)
def test_a_mistake_is_one_sentence(capsys, arguments, sentence):
  assert diffusion_step.main(arguments) == 2
  assert sentence in capsys.readouterr().err


def test_help_is_no_mistake(capsys):
  assert diffusion_step.main(["--help"]) == 0
  assert "--peak_tflops" in capsys.readouterr().out
