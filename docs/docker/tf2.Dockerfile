# ASTER on TensorFlow 2 with a GPU. Not run yet: see docs/gpu.md.
#   docker build -f docs/docker/tf2.Dockerfile -t aster .
#   docker run --gpus all -it aster
# The CUDA version is the one that TensorFlow 2.21 is built with; `python -m aster.doctor` names that of yours.
FROM nvidia/cuda:12.5.1-cudnn-devel-ubuntu22.04
RUN apt-get update && apt-get install -y --no-install-recommends python3 python3-pip python3-dev python-is-python3 \
    g++ make git \
    && rm -rf /var/lib/apt/lists/*
COPY . /aster
WORKDIR /aster
RUN python3 -m pip install "tensorflow[and-cuda]" grpcio-tools setuptools wheel \
    && python3 -m pip install --no-build-isolation -e ".[synth,convert]"
CMD ["python3", "-m", "aster.doctor"]
