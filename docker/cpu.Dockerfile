# Pseudovideo on a CPU, with the pinned versions. Not built by its authors.
FROM python:3.11-slim
RUN apt-get update && apt-get install -y --no-install-recommends git make && rm -rf /var/lib/apt/lists/*
WORKDIR /work
COPY . .
RUN make install
ENV PATH=/work/.venv/bin:$PATH
RUN python -m pseudovideo.main --help
CMD ["make", "demo"]
