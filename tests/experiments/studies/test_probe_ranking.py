"""The probe's ranking beside scores, on records made by hand."""

import json
import pathlib

import pytest

from experiments.rows import base, diffusion
from experiments.studies import probe_ranking
from experiments.studies.probe_ranking import Agreement, Entry
from pseudovideo.runs import results

RESULTS = pathlib.Path(__file__).parents[3] / "results"


def worth(mean, last=0.0, error=1e-4):
  return {"linear": {"mean": [mean, error], "last": [last, error]}}


def entry(label, frames, mean, *scores, **fields):
  return Entry(label, frames, worth(mean, **fields), scores)


def agreement(entries, **options):
  return probe_ranking.agreement(entries, "linear", "mean", **options)


def test_pairs_are_counted_by_what_their_scores_say():
  entries = [
    entry("a", 4, 0.20, 1.0),
    entry("b", 4, 0.10, 2.0),
    entry("c", 4, 0.0, 1.5),
    entry("d", 8, 0.30, 9.0),
    entry("e", 8, 0.3005, 3.0),
  ]
  # a > b and a > c agree, b > c disagrees, d and e are not told apart.
  assert agreement(entries, same_frames=True) == Agreement(2, 1, 0)
  # d and e save most and score worst: six more that disagree.
  assert agreement(entries, same_frames=False) == Agreement(2, 7, 0)


def test_scores_within_the_spread_over_seeds_are_counted_apart():
  entries = [
    entry("a", 4, 0.2, 1.0, 2.0),
    entry("b", 4, 0.1, 2.0),
    entry("c", 4, 0.0, 3.0),
  ]
  assert probe_ranking.spread(entries) == pytest.approx(0.5**0.5)
  assert agreement(entries, same_frames=True) == Agreement(2, 0, 1)


def test_shares_within_their_errors_are_not_told_apart():
  assert probe_ranking.told_apart((0.2, 0.01), (0.17, 0.01))
  assert not probe_ranking.told_apart((0.2, 0.01), (0.18, 0.01))
  assert not probe_ranking.told_apart((0.0, 1e-6), (0.0005, 1e-6))


@pytest.fixture
def folder(tmp_path, make_record):
  """Probes of noise, and results of two of the rows on digits."""
  shares = {"high_order": 0.3, "first_order": 0.0, "high_order_blur": 0.9}
  for data in ("digits", "cifar10"):
    augmentations = []
    for frames in (4, 8):
      for name, mean in shares.items():
        row = vars(diffusion)[f"{name.upper()}_{frames}"]
        job = base.Job(row, data, "small", 0)
        one = {
          "label": f"{name}, {frames} frames",
          "section": job.config.raw["augmentation"],
          "frames": frames,
          "worth": worth(mean + frames / 100),
        }
        augmentations.append(one)
        if data == "digits" and name != "high_order_blur" and frames == 4:
          for seed in (0, 1):
            job = base.Job(row, data, "small", seed)
            value = 5 - 10 * mean + seed
            path = job.published(tmp_path, diffusion.FAMILY)
            results.write(path, make_record(job, value))
    record = {"data": data, "augmentations": augmentations}
    results.write_json(tmp_path / "probe" / f"{data}.json", record)
  return tmp_path


def test_the_command_compares_with_our_results_and_the_papers(folder, capsys):
  argv = ["report", f"--results={folder}"]
  assert probe_ranking.main(argv) == 0
  ours, papers = capsys.readouterr().out.split("cifar10, the paper's")
  assert "FD-x" in ours
  assert "2.500 ± 0.707" in ours  # 5 - 3 and one more: their mean.
  assert "5.500 ± 0.707" in ours
  assert "blur" not in ours
  assert "of pairs with equally many frames 1 agree, 0 disagree" in ours
  for value in (12.58, 17.30, 15.33, 12.80, 15.90, 22.63):
    assert f"{value:.3f}" in papers
  # Noise: high order saves more and is better, twice. Blur saves most: better
  # than first order with 4 frames, worse than all others.
  assert "of pairs with equally many frames 3 agree, 3 disagree" in papers


def test_a_missing_probe_is_said(tmp_path, capsys):
  assert probe_ranking.main(["report", f"--results={tmp_path}"]) == 2
  assert "There is no probe" in capsys.readouterr().err


def test_committed_probes_can_be_compared(capsys):
  assert probe_ranking.main(["report", f"--results={RESULTS}"]) == 0
  text = capsys.readouterr().out
  record = json.loads((RESULTS / "probe" / "digits.json").read_text())
  for one in record["augmentations"]:
    if one["section"]["name"] == "first_order":
      assert one["label"] in text
