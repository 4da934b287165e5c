"""The sweep over samplers: its rule, its lists, and one run end to end."""

import contextlib
import dataclasses
import io
import math
import pathlib
import re
import shutil

import jax
import numpy as np
import optax
import pytest

from configs import video_diffusion
from experiments.studies.sampling_budget import __main__ as sampling_budget
from experiments.studies.sampling_budget import measure as measuring
from experiments.studies.sampling_budget import report as reports
from experiments.studies.sampling_budget import settings
from experiments.studies.sampling_budget import summary as summaries
from pseudovideo import errors, keys, runs
from pseudovideo.config import parsing
from pseudovideo.devices import sharding
from pseudovideo.evaluation import evaluate, scoring
from pseudovideo.runs import checkpoints, results, sample_files
from pseudovideo.training import state


def row(evaluations, *values, method="ancestral", earlier=None):
  setting = settings.Setting(method, str(evaluations), earlier)
  return summaries.Row(setting, evaluations, values)


REFERENCE = row(3000, 0.9, 1.0, 1.1)  # Standard error 0.1 / sqrt(3) = 0.0577.


def summary(*rows, reference=REFERENCE, last=()):
  return summaries.Summary(
    "FD-x", "lower", 1000, 3, reference, (reference, *rows), last
  )


def test_standard_error_of_three_seeds():
  assert row(1, 1.0, 2.0, 3.0).mean == 2
  np.testing.assert_allclose(
    row(1, 1.0, 2.0, 3.0).standard_error, 1 / math.sqrt(3), rtol=1e-12
  )


def test_two_standard_errors_are_still_enough():
  """Seeds a, b have standard error |a - b| / 2: with 1, 3 twice it is 2."""
  exact = row(2, 0.0, 0.0)
  assert summaries.is_enough(row(1, 1.0, 3.0), exact)
  assert not summaries.is_enough(row(1, 1.001, 3.001), exact)


def test_errors_of_both_count():
  """Means 0 and 1.4 with standard errors 0.5 each: 2 sqrt(0.5) = 1.414."""
  assert summaries.is_enough(row(1, 0.9, 1.9), row(2, -0.5, 0.5))
  assert not summaries.is_enough(row(1, 0.92, 1.92), row(2, -0.5, 0.5))


@pytest.mark.parametrize(
  ("rows", "evaluations"),
  [
    # The cheapest is clearly worse, the next is not.
    ([row(5, 2.0, 2.05, 1.95), row(27, 1.1, 1.0, 1.05)], 27),
    # One lucky seed does not make a bad setting enough: 1.2 > 0.895.
    ([row(5, 1.4, 2.5, 2.6), row(27, 1.1, 1.0, 1.05)], 27),
    # A noisy score is given its own error: 1.3 with 0.173, 0.3 <= 0.365.
    ([row(5, 1.0, 1.3, 1.6), row(27, 1.1, 1.0, 1.05)], 5),
    # Nothing is enough but the reference itself.
    ([row(5, 3.9, 4.0, 4.1), row(27, 2.0, 2.1, 2.2)], 3000),
    # Better than the reference by more than two standard errors is fine.
    ([row(10, 0.2, 0.21, 0.19), row(27, 1.0, 1.0, 1.0)], 10),
    # More evaluations than needed are not taken for a better score.
    ([row(100, 0.5, 0.5, 0.5), row(50, 1.0, 1.0, 1.0)], 50),
    ([], 3000),
  ],
)
def test_the_smallest_budget_that_is_enough(rows, evaluations):
  assert summary(*rows).chosen.evaluations == evaluations


def test_the_strict_answer_gives_nothing_to_noise():
  """0.1 worse is within 0.115 of the reference alone, 0.3 is not."""
  found = summary(row(5, 1.0, 1.3, 1.6), row(27, 1.05, 1.1, 1.15))
  assert found.chosen.evaluations == 5
  assert found.chosen_strictly.evaluations == 27
  assert "reference alone: 27 evaluations" in " ".join(found.sentences())


def test_of_equal_budgets_the_better_score_is_taken():
  first = row(10, 1.0, 1.1, 0.9)
  second = row(10, 0.8, 0.9, 1.0, method="ddim")
  for rows in ([first, second], [second, first]):
    assert summary(*rows).chosen == second


def test_higher_may_be_better():
  low, high = row(5, 0.1, 0.11, 0.12), row(7, 1.9, 2.0, 2.1)
  found = summaries.smallest([low, high, REFERENCE], REFERENCE, "higher")
  assert found == high


def test_the_answer_is_a_sentence():
  assert summary(row(50, 1.0, 1.1, 1.0)).sentences() == [
    "50 evaluations instead of 3,000: 60 times fewer (ancestral 50).",
    "Counting the standard error of the reference alone: 50 evaluations "
    "(ancestral 50).",
  ]
  none = " ".join(summary().sentences())
  assert none.startswith("No cheaper setting") and ": 1 times fewer" in none


def test_charts_show_score_against_log10_of_evaluations():
  cheap = row(10, 1.0, 2.0, 3.0)
  last = (row(2, 5.0, 5.0, 5.0, method="ddim", earlier=""),)
  equal, late = reports.charts(summary(cheap, last=last)).values()
  x, y = equal["ancestral"]
  np.testing.assert_allclose(x, [1, math.log10(3000)])
  np.testing.assert_allclose(y, [2, 1])
  np.testing.assert_allclose(late["ddim"], [[math.log10(2)], [5]])
  assert set(equal["reference"][1]) == set(late["reference"][1]) == {1.0}


def test_a_reference_that_is_not_the_full_sampler_is_named():
  short = row(750, 0.9, 1.0, 1.1)
  said = " ".join(summary(row(50, 1, 1.1, 1), reference=short).sentences())
  assert "not the full sampler with 3,000, which was not measured" in said
  assert "the full sampler's 3,000: 60 times fewer" in said
  assert "the reference's 750: 15 times fewer" in said


def test_the_last_stage_has_an_answer_per_method():
  last = (
    row(2, 5.0, 5.1, 5.2, earlier=""),
    row(10, 1.0, 1.1, 0.9, earlier=""),
    row(25, 1.0, 1.0, 0.9, earlier=""),
    row(2, 5.0, 5.1, 5.2, method="ddim", earlier=""),
  )
  said = summary(last=last).sentences()[-1]
  assert said.endswith("10 (ancestral), none of them (ddim).")


def test_falling_steps_for_any_number_of_stages():
  for stages, text in (2, "20/2"), (3, "20/5/2"), (5, "20/5/5/5/2"):
    assert settings.falling(20, 5, 2, stages) == text
  with pytest.raises(errors.UserError, match="this video has 1"):
    settings.falling(20, 5, 2, 1)


@pytest.mark.parametrize("name", settings.PRESETS)
@pytest.mark.parametrize(("stages", "steps"), [(1, 40), (3, 40), (3, 1000)])
def test_lists_hold_what_the_process_can_do(name, stages, steps):
  preset = settings.PRESETS[name]
  reference = settings.Setting("ancestral", "")
  whole = settings.whole_videos(preset, stages, steps, reference)
  last = settings.last_stages(preset, stages, steps, reference)
  assert whole[0] == reference
  assert len({setting.slug for setting in whole + last}) == len(whole + last)
  for setting in whole[1:]:
    counts = [int(part) for part in setting.respacing.split("/")]
    assert len(counts) in (1, stages) and max(counts) < steps
  assert any("/" in setting.respacing for setting in whole) == (stages > 1)
  assert bool(last) == (stages > 1)
  assert all(setting.earlier == "" for setting in last)


def test_the_small_preset_has_every_kind_of_budget():
  reference = settings.Setting("ancestral", "")
  found = settings.whole_videos(settings.PRESETS["small"], 3, 1000, reference)
  labels = {setting.label for setting in found}
  assert {"ancestral all", "ddim 5", "dpm_solver 15/15/5"} <= labels


def test_a_reference_in_the_list_is_there_once():
  reference = settings.Setting("ancestral", "50")
  found = settings.whole_videos(settings.PRESETS["small"], 1, 1000, reference)
  assert found.count(reference) == 1 and found[0] == reference


@pytest.fixture(scope="module")
def workdir(tiny_video_run, tmp_path_factory) -> pathlib.Path:
  """A video diffusion of 4 frames, hence 3 stages, after 6 updates."""
  folder = tmp_path_factory.mktemp("budget") / "run"
  return shutil.copytree(tiny_video_run, folder)


ARGUMENTS = ["--preset=tiny", "--seeds=3,5", "--reference=12"]


def run_script(workdir, *extra):
  out = io.StringIO()
  with contextlib.redirect_stdout(out):
    code = sampling_budget.main([f"--workdir={workdir}", *ARGUMENTS, *extra])
  assert code == 0
  return out.getvalue()


@pytest.fixture(scope="module")
def printed(workdir):
  """Output of the first sweep; every setting is a program of its own."""
  tiny = settings.PRESETS["tiny"]
  few = dataclasses.replace(tiny, equal={"dpm_solver": (5,)})
  with pytest.MonkeyPatch.context() as patch:
    patch.setitem(settings.PRESETS, "tiny", few)
    yield run_script(workdir)


@pytest.mark.slow("trains, and samples at every setting")
def test_a_sweep_measures_every_setting_and_seed(workdir, printed):
  folder = workdir / "sampling_budget"
  record = results.read(folder / evaluate.RESULTS_FILE)
  labels = {entry["label"]: entry for entry in record["settings"]}
  assert {label: entry["evaluations"] for label, entry in labels.items()} == {
    "ancestral 12": 36, "dpm_solver 5": 15, "dpm_solver 6/2/2": 10,
  }  # fmt: skip
  last = [(e["label"], e["evaluations"]) for e in record["last_stage"]]
  assert last == [("last stage dpm_solver 2", 2)]
  name = record["metric"]
  for entry in record["settings"] + record["last_stage"]:
    assert len(set(entry["values"][name])) == 2, "two seeds differ"
  for seed in (3, 5):
    assert printed.count(f", seed {seed}: {name} ") == 4
  assert record["full_evaluations"] == 120
  assert "not the full sampler with 120, which was not measured" in printed
  assert "times fewer" in printed
  # Results are means over the seeds.
  (entry,) = (e for e in record["settings"] if "smallest" in e["verdict"])
  first, second = entry["values"][name]
  scores = record["metrics"]["generated"][name]
  assert record["network_evaluations"] == entry["evaluations"]
  np.testing.assert_allclose(scores["value"], (first + second) / 2)
  np.testing.assert_allclose(
    scores["standard_error"], abs(first - second) / 2, rtol=1e-9
  )
  # The page needs nothing beside it.
  text = (folder / sampling_budget.PAGE).read_text()
  assert text.count("<svg") == 3
  assert "Reference: ancestral 12" in text and "Smallest budget: " in text
  assert not re.findall(r'(?:src|href)="(?!data:|#)', text)
  assert str(workdir) not in text


@pytest.mark.slow("trains, and samples at every setting")
def test_samples_are_those_of_evaluate_with_that_sampler(workdir, printed):
  """Up to one grey level: the two are programs of their own."""
  raw = runs.saved_config(workdir).raw
  raw["sampler"] |= {"method": "dpm_solver", "respacing": "6/2/2"}
  raw["evaluate"]["seed"] = 5
  drawn = evaluate.draw(runs.restore(workdir, config=raw), 16)
  name = "dpm_solver_6-2-2_seed5.npz"
  found = sample_files.load(workdir / "sampling_budget" / "points" / name)
  difference = np.int32(found.images) - np.int32(drawn.images)
  assert np.abs(difference).max() <= 1


@pytest.mark.slow("trains, and samples at every setting")
def test_the_last_stage_drawn_again_is_what_it_was(workdir, printed):
  """Equal frames before it, keys and steps give the video of `sample`."""
  run = runs.restore(workdir)
  path = workdir / "sampling_budget" / "points"
  videos = np.load(path / "ancestral_12_seed3_videos.npy")[:8]
  setting = settings.Setting("ancestral", "12", earlier="12")
  draw = measuring.make_draw(run.task, setting, sharding.make_mesh())
  key = keys.named(jax.random.key(3), "samples")
  rows = keys.example_keys(key, len(videos))
  blank = videos.copy()
  blank[:, -1] = 7  # What the last frame was does not matter.
  again = np.asarray(draw(run.params, run.extra, rows, blank))
  np.testing.assert_allclose(again, videos, atol=1e-4)
  np.testing.assert_array_equal(again[:, :-1], videos[:, :-1])
  assert videos[:, -1].std() > 0.1


@pytest.mark.slow("trains, and samples at every setting")
def test_only_what_is_missing_is_done(workdir, printed, monkeypatch, capsys):
  scored = []
  kept = scoring.score

  def counted(*args, **options):
    scored.append(options)
    return kept(*args, **options)

  monkeypatch.setattr(scoring, "score", counted)
  assert run_script(workdir) == printed[printed.index("\n\n") + 1 :]
  assert not scored
  path = workdir / "sampling_budget" / "points" / "dpm_solver_5_seed5.json"
  before = path.read_text()
  path.unlink()
  again = run_script(workdir)
  assert len(scored) == 1
  name = results.read(path.parents[1] / evaluate.RESULTS_FILE)["metric"]
  assert again.startswith(f"[1/1] dpm_solver 5, seed 5: {name} ")
  seconds = r'"seconds": [\d.]+'
  assert re.sub(seconds, "", path.read_text()) == re.sub(seconds, "", before)
  # Scores of something else are refused.
  argv = [f"--workdir={workdir}", *ARGUMENTS, "--num_samples=8"]
  assert sampling_budget.main(argv) == 2
  said = capsys.readouterr().err
  assert "num_samples is 8, was 16" in said and "another --out" in said


@pytest.mark.slow("trains, and samples at every setting")
def test_a_run_of_one_frame_has_no_later_stages(tmp_path, monkeypatch):
  raw = parsing.complete(video_diffusion.get_config("frames=1,preset=tiny"))
  task = parsing.parse(raw).make_task((8, 8, 1))
  made = state.create(*task.init(jax.random.key(0), None), optax.identity())
  store = checkpoints.Checkpoints(tmp_path / checkpoints.FOLDER)
  store.save(0, state.to_dict(made), config=raw, wait=True)
  store.close()
  preset = settings.Preset(6, {"ddim": (3,)}, ((6, 2, 2),), (2,))
  monkeypatch.setitem(settings.PRESETS, "tiny", preset)
  run_script(tmp_path, "--reference=")
  folder = tmp_path / "sampling_budget"
  record = results.read(folder / evaluate.RESULTS_FILE)
  found = {e["label"]: e["evaluations"] for e in record["settings"]}
  assert found == {"ancestral all": 40, "ddim 3": 3}
  assert record["last_stage"] == [] and not list(folder.rglob("*.npy"))


def test_mistakes_are_sentences(tiny_video_run, tmp_path, capsys):
  out = [f"--workdir={tiny_video_run}", f"--out={tmp_path / 'out'}"]
  for argv, said in [
    (["--reference=50"], "asks for 50 steps, but the process has 40"),
    (["--reference=5/5"], "lists 2 stages, but the schedule has 3"),
    (["--seeds=0"], "--seeds must be two or more different numbers"),
    (["--seeds=1,1"], "--seeds must be two or more different numbers"),
    (["--seeds=a,b"], "--seeds must be two or more different numbers"),
    (["--num_samples=1"], "--num_samples must be at least 2"),
    (["--preset=huge"], "no --preset named 'huge'"),
    (["--workdir="], "Say where the run is, with --workdir=DIR."),
  ]:
    assert sampling_budget.main([*out, *argv]) == 2
    err = capsys.readouterr().err
    assert err.startswith("Error: ") and said in err
  assert not list(tmp_path.iterdir())


def test_a_run_without_a_diffusion_process_is_refused(tiny_run, capsys):
  assert sampling_budget.main([f"--workdir={tiny_run}"]) == 2
  said = capsys.readouterr().err
  assert "task 'heat_hvae', which has no section `process`" in said
