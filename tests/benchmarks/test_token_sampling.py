import json

import pytest

from benchmarks import token_sampling


@pytest.fixture(scope="module")
def found(tmp_path_factory):
  """The values of two narrow rows of one frame."""
  out = tmp_path_factory.mktemp("measured") / "sampling.json"
  with pytest.MonkeyPatch.context() as patch:
    make = token_sampling.make_task

    def narrow(row):
      task = make(row)
      for field, model in (
        ("model", task.model.clone(width=12, heads=2, layers=1)),
        ("coder", _narrow_tokenizer(task.coder)),
      ):
        object.__setattr__(task, field, model)
      return task

    patch.setattr(token_sampling, "make_task", narrow)
    rows = ("next_64", "masked_64")
    command = [f"--rows={','.join(rows)}", "--repeats=1", f"--out={out}"]
    assert token_sampling.run(command) == 0
  record = json.loads(out.read_text())
  assert record["provenance"]["device"]["platform"] == "cpu"
  assert record["batch"] == dict.fromkeys(rows, 1)
  return record


def _narrow_tokenizer(coder):
  model = coder.model.clone(width=8, heads=1, head_width=4, spatial_layers=1)
  object.__setattr__(coder, "model", model)
  object.__setattr__(coder.quantizer, "width", 8)
  return coder


@pytest.mark.slow
@pytest.mark.parametrize("name", ["next_64", "masked_64"])
def test_values_fit_together(found, name):
  row = found["values"][name]
  assert min(row.values()) > 0
  seconds, peer = row["cpu_seconds"], found["peer"]["cpu_seconds"][name]
  assert row["cpu_seconds_per_grid"] == pytest.approx(seconds)
  assert row["tokens_per_cpu_second"] == pytest.approx(64 / seconds)
  assert row["tokens_per_second"] == pytest.approx(64 / row["seconds"])
  assert row["cpu_seconds_over_peer"] == pytest.approx(seconds / peer)


@pytest.mark.parametrize("name", token_sampling.ROWS)
def test_the_rows_are_the_networks_of_the_paper(name):
  row = token_sampling.ROWS[name]
  task = token_sampling.make_task(row)
  tokens = {1: 64, 8: 256, 18: 576}[row.frames]
  assert task.num_tokens == tokens and task.coder.num_codes == 1024
  if row.order == "next":
    assert (task.model.width, task.model.layers) == (144, 8)
  else:
    assert (task.model.width, task.model.layers) == (512, 6)
    assert task.network_evaluations == 18


@pytest.mark.parametrize(
  "arguments, sentence",
  [
    (["--rows=next_65"], "no --rows named 'next_65'; did you mean"),
    (["--repeats=0"], "--repeats must be at least 1; got 0."),
  ],
)
def test_a_mistake_is_one_sentence(capsys, arguments, sentence):
  assert token_sampling.main(arguments) == 2
  assert sentence in capsys.readouterr().err
