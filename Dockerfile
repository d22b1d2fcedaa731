# The image that runs experiments: the pinned environment and the runtime, nothing else.
#
#   docker build --build-arg REVISION=$(git rev-parse HEAD) --tag trading-runtime .
#
# Layers are made so that an edit of the runtime leaves the environment's layer as it was. Bytecode
# is made here, checked by hash and not by time: equal sources give equal files, and no pod compiles
# at start-up. With SOURCE_DATE_EPOCH and BuildKit's rewrite-timestamp the image repeats byte for byte.

# A registry without this image, such as a mirror of your own, is given its own one:
# --build-arg PYTHON_IMAGE=...
ARG PYTHON_IMAGE=python:3.13.15-slim-bookworm@sha256:ed86c82274b3c69b52fb5820f358f0bd7df0b603332063cb5c6e32bd220c3e6e

FROM ${PYTHON_IMAGE} AS environment
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
RUN python -m venv --without-pip /opt/venv
COPY requirements.txt requirements-build.txt requirements-data.txt ./
RUN pip --python /opt/venv/bin/python install --no-compile --require-hashes --only-binary :all: \
        -r requirements.txt -r requirements-build.txt -r requirements-data.txt
# What no pod uses: tests, headers, Arrow's own network clients, the descriptions of AWS services other
# than S3 and those that log in. The packages stay installed by name and
# version, which are part of every task's identity.
RUN cd /opt/venv/lib/python3.13/site-packages \
    && find numpy pyarrow -type d -name tests -prune -exec rm -rf {} + \
    && rm -rf pyarrow/include pyarrow/src pyarrow/lib*_flight.so* pyarrow/_flight.* \
        pyarrow/libarrow_s3.so* pyarrow/_s3fs.* \
    && for library in pyarrow/lib*.so.*.*.*; do rm "$library" "${library%.so.*}.so"; done \
    && find botocore/data -mindepth 1 -maxdepth 1 -type d ! -name sts ! -name s3 ! -name 'sso*' -exec rm -rf {} +
COPY pyproject.toml ./
COPY trading_runtime/__init__.py trading_runtime/
RUN pip --python /opt/venv/bin/python install --no-compile --no-index --no-deps --no-build-isolation --editable . \
    && pip --python /opt/venv/bin/python uninstall --yes flit-core \
    && /opt/venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/venv/lib

# What the environment is made of, as CycloneDX, by a tool that does not get into the image.
FROM environment AS materials
COPY requirements-sbom.txt ./
RUN python -m venv --without-pip /opt/sbom \
    && pip --python /opt/sbom/bin/python install --no-compile --require-hashes --only-binary :all: -r requirements-sbom.txt \
    && /opt/sbom/bin/cyclonedx-py environment --output-reproducible --output-format JSON \
        --output-file /sbom.cdx.json /opt/venv/bin/python

FROM ${PYTHON_IMAGE} AS application
WORKDIR /app
COPY LICENSE pyproject.toml requirements.txt ./
COPY trading_runtime trading_runtime
# Checked, not unchecked: a source file that is mounted over this one takes effect.
RUN python -m compileall -q --invalidation-mode checked-hash trading_runtime

FROM ${PYTHON_IMAGE}
# Python's own library, too: the base image comes without its bytecode, or with one that goes by times.
RUN python -m compileall -q -f -j 0 --invalidation-mode unchecked-hash \
        -x '/(ensurepip|idlelib|pydoc_data|site-packages|test|tkinter|turtledemo)/' /usr/local/lib/python3.13
ARG REVISION="" VERSION="" ENGINE="" PYTHON_IMAGE
LABEL org.opencontainers.image.title="trading-runtime" \
      org.opencontainers.image.description="Reproducible backtests of NautilusTrader strategies" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.base.name="${PYTHON_IMAGE}" \
      io.nautilustrader.version="${ENGINE}"
ENV HOME=/tmp \
    PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    TZ=UTC
COPY --from=environment /opt/venv /opt/venv
COPY --from=application /app /app
COPY --from=materials /sbom.cdx.json /app/
WORKDIR /app
USER 10001:10001
ENTRYPOINT ["python", "trading_runtime/local/backtest.py"]
