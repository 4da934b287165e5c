import pytest

from pseudovideo import errors
from pseudovideo.diffusion.process import Process
from pseudovideo.samplers.settings import Sampler

PROCESS = Process()


def test_one_chain_per_stage():
  for respacing, lengths in [
    ("", [1000, 1000, 1000]),
    ("50", [50, 50, 50]),
    ("50/50/10", [50, 50, 10]),
    ("50/ddim20/10,20,30", [50, 20, 60]),
    ("10//20", [10, 1000, 20]),
  ]:
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
    (
      {"eta": 1.0},
      1000,
      1,
      "sampler.eta",
    ),
    (
      {"respacing": "50/50/10"},
      1000,
      5,
      "sampler.respacing '50/50/10'",
    ),
    (
      {"respacing": "50/2000"},
      1000,
      2,
      "sampler.respacing '2000'",
    ),
    ({"respacing": "50"}, 40, 3, "has 40"),
  ],
)
def test_what_cannot_be_is_refused(fields, steps, stages, words):
  with pytest.raises(errors.UserError) as error:
    Sampler(**fields).check(steps, stages)
  assert words in str(error.value)
