import json

import pytest

from benchmarks import tokenizer_step


@pytest.fixture(scope="module")
def found(tmp_path_factory):
  """The values of a narrow 1-frame row."""
  out = tmp_path_factory.mktemp("measured") / "step.json"
  with pytest.MonkeyPatch.context() as patch:
    make = tokenizer_step.make_task

    def shallow(row, width):
      config, task = make(row, width)
      model = task.model.clone(spatial_layers=1, heads=1, head_width=4)
      object.__setattr__(task, "model", model)
      return config, task

    patch.setattr(tokenizer_step, "make_task", shallow)
    command = ["--rows=frames_1", "--repeats=1", "--width=8", f"--out={out}"]
    assert tokenizer_step.run(command) == 0
  record = json.loads(out.read_text())
  assert record["provenance"]["device"]["platform"] == "cpu"
  return record["values"]["frames_1"]


@pytest.mark.slow
def test_values_fit_together(found):
  assert min(found.values()) > 0
  assert found["tokens"] == 64
  assert found["tokens_per_second"] == pytest.approx(
    2 * 64 / found["encode_seconds"]
  )
  # An update encodes, and does more.
  assert found["train_gflop"] > found["encode_gflop"]
  # Another width than the peer's is not compared with it.
  assert "train_cpu_seconds_over_peer" not in found


@pytest.mark.parametrize("name", tokenizer_step.ROWS)
def test_the_rows_are_the_networks_of_the_paper(name):
  row = tokenizer_step.ROWS[name]
  config, task = tokenizer_step.make_task(row)
  assert task.model.width == 512 and config.train.batch_size == 64
  assert task.augmentation.frames == row.frames
  assert task.adversarial == row.adversarial


@pytest.mark.parametrize(
  "arguments, sentence",
  [
    (["--rows=frames_2"], "no --rows named 'frames_2'"),
    (["--repeats=0"], "--repeats must be at least 1; got 0."),
  ],
)
def test_a_mistake_is_one_sentence(capsys, arguments, sentence):
  assert tokenizer_step.main(arguments) == 2
  assert sentence in capsys.readouterr().err
