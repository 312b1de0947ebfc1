# Two images: one predicts with ONNX Runtime and holds no torch, the other trains and runs every script.
#
#   docker build --tag hfaudio .
#   docker build --tag hfaudio:train --target train .
#
# Mounted are /data (recordings), /model (a trained model with its model.onnx; predict), /out (what is written) and
# /cache (decoded recordings; train). With --user "$(id -u):$(id -g)" what is written is the caller's.
#
# pip's settings and certificates, where it needs any, are handed in for the build alone:
#   docker build --secret id=pip.conf,src=pip.conf --secret id=ca.pem,src=ca.pem .
# with `cert = /run/secrets/ca.pem` in pip.conf.

# Any image with Python 3.11 or newer, its venv and pip. For a GPU this one does: torch brings CUDA.
ARG BASE_IMAGE=python:3.11-slim


FROM ${BASE_IMAGE} AS base
ENV PATH=/app/venv/bin:${PATH} \
    HOME=/tmp \
    HF_HOME=/cache \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /app
COPY docker-entrypoint.sh /usr/local/bin/
ENTRYPOINT ["docker-entrypoint.sh"]


FROM base AS train
RUN --mount=type=bind,target=/source \
    --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca.pem \
    python3 -m venv --without-pip /app/venv && \
    pip --python /app/venv install --no-cache-dir --constraint /source/constraints.txt "/source[export]" && \
    mkdir --mode 1777 /cache && \
    mkdir /out && \
    ln -s /out runs
COPY scripts scripts
USER 10001:10001


FROM base AS predict
# What hfaudio.inference imports to run a graph; the versions are those of constraints.txt.
RUN --mount=type=bind,target=/source \
    --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca.pem \
    python3 -m venv --without-pip /app/venv && \
    pip --python /app/venv install --no-cache-dir --constraint /source/constraints.txt \
        huggingface_hub lazy-loader numpy onnxruntime pyarrow pyyaml soundfile tqdm && \
    pip --python /app/venv install --no-cache-dir --no-deps /source
COPY scripts/predict.py scripts/
ENV HF_HUB_OFFLINE=1 \
    HFAUDIO_MODEL=/model
USER 10001:10001
CMD ["predict", "--help"]
