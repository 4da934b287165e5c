import json

from benchmarks import fits, traced


def test_the_fewest_devices_that_hold_a_batch_of_8():
  """Eighty bytes of examples; 8 devices are the most that divide them."""
  for constant, memory, devices in [
    (0, 90, 1),
    (1, 90, 2),
    (0, 50, 2),
    (10, 30, 8),
    (0, 20, 8),
    (0, 19, 0),
  ]:
    assert fits.needed(10, traced.Kept(constant, 10), 8, memory) == devices


def test_batches_are_cut_evenly():
  assert fits.needed(0, traced.Kept(0, 1), 12, 3) == 4
  assert fits.needed(0, traced.Kept(0, 1), 12, 2) == 0


def test_rows_are_of_the_paper_presets():
  for row in fits.ROWS.values():
    for file, argument in (
      (row.file, row.argument),
      (row.coder, row.coder_argument),
    ):
      if file is not None:
        assert file.get_config(f"{argument},preset=paper")


def test_it_prints_and_writes_what_it_found(tmp_path, capsys, monkeypatch):
  """A network of tens of kilobytes fits everywhere."""
  monkeypatch.setattr(fits, "PRESET", "tiny")
  out = tmp_path / "fits.json"
  row = "next_8_cifar10"
  assert fits.run([f"--rows={row}", f"--out={out}"]) == 0
  record = json.loads(out.read_text())
  found = record["values"][row]
  assert found["batch"] == 16
  # Parameters, their average and two moments; the step is counted twice.
  four = 4 * found["parameters"] + 2
  coder = found["state_gib"] - 4 * four / 2**30
  assert 0 < coder < 1e-3
  assert found["gradients_gib"] == 4 * found["parameters"] / 2**30
  assert 0 < found["remat_activations_gib"] < found["activations_gib"]
  for prefix in ("", "remat_"):
    for name in fits.ACCELERATORS:
      assert found[f"{prefix}devices, {name}"] == 1
  printed = capsys.readouterr().out.splitlines()
  (line,) = [one for one in printed if one.startswith(row)]
  assert line.count("1 / 1") == 6
  assert record["usable"] == 0.9
