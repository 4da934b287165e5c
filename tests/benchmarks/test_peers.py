"""Pairs are equal before they are timed; what is missing is left out."""

import itertools
import json

import numpy as np
import pytest

from benchmarks.peers import __main__ as command
from benchmarks.peers import pairs, table
from pseudovideo import errors
from pseudovideo.models import maskgit
from pseudovideo.models.video_vae import iv_vae as networks

# Arithmetic, without PyTorch.


def test_ratios_are_of_consecutive_calls():
  found = pairs.summary(
    [(1.0, 2.0), (4.0, 2.0), (3.0, 5.0)], [(2.0, 1.0), (2.0, 1.0), (6.0, 1.0)]
  )
  assert found == {
    "ours_seconds": 3.0,
    "ours_cpu_seconds": 2.0,
    "peer_seconds": 2.0,
    "peer_cpu_seconds": 1.0,
    "ratio": 0.5,
    "ratio_min": 0.5,
    "ratio_max": 2.0,
    "ratios": [0.5, 2.0, 0.5],
  }


def test_calls_alternate(monkeypatch):
  monkeypatch.setattr(pairs, "PAUSE", 0)
  called = []
  ours, peer = pairs.alternately(
    lambda: called.append("ours"), lambda: called.append("peer"), 3
  )
  assert called == ["ours", "peer"] * 3
  assert len(ours) == len(peer) == 3


def test_the_fastest_way_is_timed(monkeypatch):
  monkeypatch.setattr(pairs, "PAUSE", 0)
  clock = itertools.count()
  monkeypatch.setattr(pairs.time, "perf_counter", lambda: next(clock))

  def lasting(ticks):
    def call():
      for _ in range(ticks):
        next(clock)

    return lambda: call

  ways = {"slow": lasting(5), "fast": lasting(2), "slower": lasting(9)}
  found = pairs.measure(pairs.Pair(lasting(6)(), ways, {"difference": 0}), 2)
  assert found["peer"] == "fast"
  assert found["ratio"] == 7 / 3


def test_networks_that_differ_are_refused():
  one, two = np.float32([1, -200]), np.float32([1, -200.01])
  assert pairs.equal([one], [two], (5, 5)) == {
    "parameters": 5,
    "difference": pytest.approx(0.01 / 200.01, rel=1e-3),
  }
  for first, second, counts in [
    (one, two, (5, 6)),
    (one, two + 1, (5, 5)),
    (one, two * np.nan, (5, 5)),
    (one, np.stack([two, two]), (5, 5)),
  ]:
    with pytest.raises(errors.RunError, match="are not timed"):
      pairs.equal([first], [second], counts)


# What is missing.


def test_rows_without_their_packages_are_left_out_with_a_sentence():
  for installed in (set(), {"x_transformers"}):
    left, sentences = table.missing(table.ROWS, installed)
    assert not left
    assert "the package torch is not installed: image_32" in sentences[0]
  left, (sentence,) = table.missing(
    table.ROWS, set(table.PACKAGES) - {"phenaki_pytorch"}
  )
  lacking = ["tokenizer_8", "tokenizer_8_gan", "masked_256"]
  assert list(left) == [name for name in table.ROWS if name not in lacking]
  assert f"phenaki-pytorch is not installed: {', '.join(lacking)};" in sentence
  assert table.missing(table.ROWS, set(table.PACKAGES)) == (table.ROWS, [])


def test_threads_need_cores():
  assert command.possible([1, 2, 4], [5, 6]) == (
    [1, 2],
    ["Nothing is measured with 4 threads, as this process may use 2 cores."],
  )


def test_without_packages_the_command_says_so(monkeypatch, tmp_path, capsys):
  monkeypatch.setattr(table, "available", set)
  out = tmp_path / "record.json"
  assert command.main(["--rows=image_32,inception", f"--out={out}"]) == 2
  said, mistake = capsys.readouterr()
  assert "EXTRA=peers" in said and "image_32, inception" in said
  assert "nothing is measured" in mistake
  assert not out.exists(), "a record of nothing could replace a good one"


# Parity: making a pair compares it.


def check(pair):
  """Every way of the peer runs, and the pair can be timed."""
  found = pairs.measure(pair, 1)
  assert found["difference"] <= pairs.TOLERANCE
  assert found["peer"] in pair.peers
  assert found["parameters"] > 0


@pytest.mark.parametrize("kind", ["image", "video"])
def test_unets_equal_ours(kind):
  pytest.importorskip("torch")
  from benchmarks.peers import unets

  case = unets.case(
    kind, batch=2, side=8, channels=32, multipliers=(1, 2), blocks=1,
    attention=(1,),
  )  # fmt: skip
  for pair in unets.of_case(case).values():
    check(pair)


def test_other_weights_are_noticed():
  torch = pytest.importorskip("torch")
  from benchmarks.peers import unets

  case = unets.case(
    "image", batch=1, side=4, channels=32, multipliers=(1,), blocks=1,
    attention=(),
  )  # fmt: skip
  params = case.params

  class Other(unets.Case):
    @property
    def params(self):
      return params

  with torch.no_grad():
    case.peer.out[2].weight += 0.01
  with pytest.raises(errors.RunError, match="differ"):
    unets.of_case(Other(*case))


def test_iv_vae_equals_ours():
  pytest.importorskip("torch")
  from benchmarks.peers import iv_vae, torch_iv_vae

  fields = dict(base=4, latent_channels=4, blocks=1, rates=(1,))
  pair = iv_vae.pair(
    networks.IVVAE(**fields), torch_iv_vae.IVVAE(**fields), (9, 16, 16, 3)
  )
  check(pair)
  outputs = [prepare()().numpy() for prepare in pair.peers.values()]
  for other in outputs[1:]:
    assert pairs.difference(outputs[0], other) <= pairs.TOLERANCE


@pytest.mark.parametrize("adversarial", [False, True])
def test_the_tokenizer_equals_ours(adversarial):
  pytest.importorskip("torch")
  pytest.importorskip("phenaki_pytorch")
  from benchmarks.peers import tokenizer

  raw = tokenizer.raw_config(adversarial)
  raw.model.update(
    dict(
      width=16, heads=2, head_width=8, spatial_layers=1, temporal_layers=2
    )
  )  # fmt: skip
  raw.quantizer.update(dict(codes=16, width=16))
  check(tokenizer.pair(raw, 16))


def test_the_masked_prior_equals_ours():
  pytest.importorskip("torch")
  pytest.importorskip("phenaki_pytorch")
  from benchmarks.peers import masked_prior

  # One number is the width of heads and of the bias there.
  net = maskgit.MaskGit(
    grid=(2, 4, 4), codes=16, width=32, layers=2, heads=2,
    head_width=maskgit.OFFSET_WIDTH,
  )  # fmt: skip
  check(masked_prior.pair(net, passes=4))


@pytest.mark.slow("compares networks of one size with PyTorch's")
@pytest.mark.parametrize("row", ["next_256", "inception"])
def test_rows_that_have_one_size(row):
  for module in ("torch", *table.ROWS[row].needs):
    pytest.importorskip(module)
  for pair in table.ROWS[row].make().values():
    found = pairs.measure(pair, 1)
    assert (found["difference"] is None) == (row == "next_256")


@pytest.mark.slow("compares with PyTorch in a process of its own")
def test_a_row_in_a_process_of_its_own(tmp_path, capsys):
  pytest.importorskip("torch")
  out = tmp_path / "record.json"
  argv = ["--rows=image_32", "--threads=1", "--repeats=2", f"--out={out}"]
  assert command.main(argv) == 0
  record = json.loads(out.read_text())
  found = record["values"]["image_32"]["1"]
  assert set(found) == {"update", "denoise"}
  for pair in found.values():
    assert pair["parameters"] == 2_490_595
    assert pair["ratio_min"] <= pair["ratio"] <= pair["ratio_max"]
    assert len(pair["ratios"]) == 2 and pair["ours_cpu_seconds"] > 0
  assert record["packages"]["torch"]
  assert "image_32 denoise" in capsys.readouterr().out
