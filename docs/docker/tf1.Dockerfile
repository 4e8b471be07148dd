# ASTER on TensorFlow 1.4.0 with CUDA 8 and cuDNN 6. Not run yet: see docs/gpu.md.
#   docker build -f docs/docker/tf1.Dockerfile -t aster-tf1 .
# NVIDIA may no longer offer this base image. Then build one from its CUDA 8.0 and cuDNN 6 archives.
FROM nvidia/cuda:8.0-cudnn6-devel-ubuntu16.04
# Ubuntu 16.04 has Python 3.5. Python 3.6 is compiled from Python-3.6.15.tgz of python.org: copy that file into this
# repository's folder before you build.
RUN apt-get update && apt-get install -y --no-install-recommends build-essential zlib1g-dev libssl-dev libffi-dev \
    libbz2-dev libsqlite3-dev liblzma-dev && rm -rf /var/lib/apt/lists/*
COPY Python-3.6.15.tgz /tmp/
RUN tar -xzf /tmp/Python-3.6.15.tgz -C /tmp && cd /tmp/Python-3.6.15 && ./configure --enable-shared LDFLAGS=-Wl,-rpath,/usr/local/lib \
    && make -j4 && make install && rm -rf /tmp/Python-3.6.15*
COPY . /aster
WORKDIR /aster
RUN python3.6 -m pip install pip==21.3.1 && python3.6 -m pip install -r requirements/tf1.txt \
    && python3.6 -m pip uninstall -y tensorflow && python3.6 -m pip install tensorflow-gpu==1.4.0 \
    && python3.6 -m pip install --no-build-isolation --no-deps -e .
CMD ["python3.6", "-m", "aster.doctor"]
