# `gan3d serve` in a container:
#   docker build -t gan3d .
#   docker run --rm -p 127.0.0.1:8000:8000 -v "$PWD/models/r16:/model:ro" gan3d
# The port is published on this machine alone, so the container asks for no key; to serve others, mount a file of keys
# and replace --no-auth by --keys, as deploy/kubernetes.yaml does.
# How it was checked: no container engine was at hand, so the image was never built. hadolint finds nothing; on Python
# 3.11.7 the lock was installed into an empty environment, and the last command served a model there as user 10001.
FROM python:3.11-slim

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    TF_CPP_MIN_LOG_LEVEL=3 GIT_PYTHON_REFRESH=quiet PYTHONPATH=/app/src HOME=/tmp

WORKDIR /app

COPY requirements.runtime.lock ./
RUN python -m pip install --require-hashes -r requirements.runtime.lock

COPY LICENSE params.yaml dvc.yaml ./
COPY src ./src

RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin gan3d \
    && mkdir -p /app/mlruns /model \
    && chown gan3d /app/mlruns
USER 10001

# A folder, such as the mounted /model, or a URI such as models:/furniture@champion with MLFLOW_TRACKING_URI set.
ENV GAN3D_MODEL=/model
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/livez', timeout=4)"]
CMD ["sh", "-c", "exec python -m gan3d serve --host 0.0.0.0 --port 8000 --no-auth --model \"$GAN3D_MODEL\""]
