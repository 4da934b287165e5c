from experiments.paper import table5

# Table 5 of the paper, copied from there: 4 frames, 8 frames; CIFAR-10.
PAPER = {"high_order": (12.58, 12.80), "high_order_blur": (15.33, 22.63)}


def test_the_paper_s_numbers():
  own = {row.name: row.paper["cifar10"] for row in table5.TABLE.rows}
  assert own == {
    f"{kind}_{frames}": number
    for kind, numbers in PAPER.items()
    for frames, number in zip((4, 8), numbers, strict=True)
  }
  assert not any(row.is_control for row in table5.TABLE.rows)
