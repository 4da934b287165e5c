from experiments.paper import table3

# Table 3 of the paper, copied from there: 1 frame, 4 frames, 8 frames.
PAPER = {
  "cifar10": {
    "first_order": (12.90, 17.30, 15.90),
    "high_order": (12.90, 12.58, 12.80),
  },
  "celeb_a": {
    "first_order": (7.76, 13.61, 12.64),
    "high_order": (7.76, 6.88, 7.55),
  },
}


def test_the_paper_s_numbers():
  own = {row.name: row.paper for row in table3.TABLE.rows if not row.is_control}
  for dataset, kinds in PAPER.items():
    for kind, numbers in kinds.items():
      names = ("one_frame", f"{kind}_4", f"{kind}_8")
      assert tuple(own[name][dataset] for name in names) == numbers
  assert len(own) == 5
  assert all(set(paper) == set(PAPER) for paper in own.values())


def test_controls_have_no_number_of_the_paper():
  controls = [row for row in table3.TABLE.rows if row.is_control]
  assert [row.name for row in controls] == ["matched_snr_4", "matched_snr_8"]
  assert not any(row.paper for row in controls)
