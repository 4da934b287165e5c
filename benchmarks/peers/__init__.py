"""Our networks against PyTorch's, timed alternately.

`table` lists the rows, and each names the module that makes its pairs;
`torch_unets` and `torch_iv_vae` are networks that no package has. torch is
imported only in the processes that measure, see `child`.
"""
