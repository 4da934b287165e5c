"""How time and memory of each system grow with what it is given.

`systems` has the systems and the sizes, `counts` what the mathematics asks for,
`exponents` the verdicts, `figure` the picture.
"""
