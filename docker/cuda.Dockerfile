# Pseudovideo on NVIDIA GPUs (CUDA 12), with the pinned versions. Not built by
# its authors. The CUDA libraries come with the package jax[cuda12].
FROM python:3.11-slim
RUN apt-get update && apt-get install -y --no-install-recommends git make && rm -rf /var/lib/apt/lists/*
WORKDIR /pseudovideo
COPY . .
RUN make install EXTRA=cuda
ENV PATH=/pseudovideo/.venv/bin:$PATH
RUN python -m pseudovideo.main --help
CMD ["make", "demo"]
