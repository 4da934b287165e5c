import pytest

from pseudovideo import errors
from pseudovideo.diffusion.process import Process
from pseudovideo.samplers.settings import Sampler

PROCESS = Process()


@pytest.mark.parametrize(
  ("respacing", "lengths"),
  [
    ("", [1000, 1000, 1000]),
    ("50", [50, 50, 50]),
    ("50/50/10", [50, 50, 10]),
    ("50/ddim20/10,20,30", [50, 20, 60]),
    ("10//20", [10, 1000, 20]),
  ],
)
def test_one_chain_per_stage(respacing, lengths):
  sampler = Sampler(respacing=respacing)
  sampler.check(steps=1000, stages=3)
  chains = sampler.chains(PROCESS, 3)
  assert [len(chain) for chain in chains] == lengths
  assert sampler.network_evaluations(PROCESS, 3) == sum(lengths)


def test_stages_with_equal_respacing_share_a_chain():
  first, second, third = Sampler(respacing="50/50/10").chains(PROCESS, 3)
  assert first is second and first is not third


@pytest.mark.parametrize(
  ("fields", "steps", "stages", "words"),
  [
    ({"method": "ddmi"}, 1000, 1, "sampler.method named 'ddmi'"),
    ({"method": "ddim", "eta": 2.0}, 1000, 1, "sampler.eta must lie in [0, 1]"),
    (
      {"eta": 1.0},
      1000,
      1,
      "sampler.eta is read by sampler.method 'ddim' only",
    ),
    (
      {"respacing": "50/50/10"},
      1000,
      5,
      "sampler.respacing '50/50/10' lists 3 stages, but the schedule has 5",
    ),
    (
      {"respacing": "50/2000"},
      1000,
      2,
      "sampler.respacing '2000' asks for 2000 steps, but the process has 1000",
    ),
    ({"respacing": "50"}, 40, 3, "has 40"),
    ({"respacing": "fast"}, 40, 3, "sampler.respacing must be empty"),
  ],
)
def test_what_cannot_be_is_refused(fields, steps, stages, words):
  with pytest.raises(errors.UserError) as error:
    Sampler(**fields).check(steps, stages)
  assert words in str(error.value)
