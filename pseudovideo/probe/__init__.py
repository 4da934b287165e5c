"""Measures what earlier frames are worth, before any generative training.

  python -m pseudovideo.probe --config=FILE[:ARGUMENT]

`videos` makes pseudo videos of the training and of the held-out images,
`linear` and `network` predict every frame from the frames before it, `gains`
says how much each further frame saves, `report` prints and draws it.

May import everything up to `training`.
"""
