# Marey with everything that a corpus needs, for CPUs: docker build --tag marey .
# With NVIDIA GPUs: docker build --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu130 --tag marey .
# One image for all nodes of a cluster, since Ray wants the same version of itself everywhere.
# Run it with --shm-size=4g or more where Ray or training is used: both share memory between processes.
# For `--backend compile` a C++ compiler is missing: derive an image with g++, or take openvino.
FROM python:3.11-slim

ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1

WORKDIR /src
COPY constraints.txt ./
RUN pip install --constraint constraints.txt torch --index-url "$TORCH_INDEX"
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY src ./src
RUN pip install --constraint constraints.txt ".[parquet,remote,ray,openvino]" && rm -r /src/src

# Not as root; 1000 is also the group of mounted folders in docs/scale.md. HOME for who runs it with another number.
RUN useradd --uid 1000 --create-home marey && install -d -o marey -g marey -m 1777 /work && chmod 1777 /home/marey
ENV HOME=/home/marey
USER marey
WORKDIR /work
ENTRYPOINT []
CMD ["marey", "--help"]
