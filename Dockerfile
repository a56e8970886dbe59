# Marey with everything that a corpus needs, for CPUs: docker build --tag marey .
# With NVIDIA GPUs: docker build --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu130 --tag marey .
FROM python:3.11-slim

ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1

WORKDIR /src
COPY constraints.txt ./
RUN pip install --constraint constraints.txt torch --index-url "$TORCH_INDEX"
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY src ./src
RUN pip install --constraint constraints.txt ".[parquet,remote,ray]" && rm -r /src/src

# Not as root: what it writes belongs into mounted folders.
RUN useradd --create-home marey
USER marey
WORKDIR /work
ENTRYPOINT []
CMD ["marey", "--help"]
