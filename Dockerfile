# One image per deployable, each with its own extra of pyproject.toml and nothing of the others':
#   docker build --build-arg EXTRAS=router --tag imagerouter/router .
# Give PYTHON by digest where images are released; closures.toml is for CPython 3.11 on Linux.
ARG PYTHON=python:3.11-slim-bookworm

FROM ${PYTHON} AS build
ARG EXTRAS
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_NO_INPUT=1 \
    PIP_ONLY_BINARY=:all: \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
# Dependencies first: they change less often than the code.
COPY requirements.lock ./
COPY tools/lock_for.py tools/closures.toml tools/
RUN python tools/lock_for.py select "${EXTRAS:?give --build-arg EXTRAS=<extra>}" > /tmp/extras.lock \
    && python tools/lock_for.py select build > /tmp/build.lock \
    && python -m venv --without-pip /opt/imagerouter \
    && pip --python /opt/imagerouter/bin/python install --require-hashes --requirement /tmp/extras.lock \
    && pip install --require-hashes --requirement /tmp/build.lock
COPY pyproject.toml README.md ./
COPY services services
RUN pip wheel --no-deps --no-build-isolation --no-index --wheel-dir /tmp/wheel . \
    && pip --python /opt/imagerouter/bin/python install --no-deps --no-index /tmp/wheel/*.whl \
    && pip --python /opt/imagerouter/bin/python check

FROM ${PYTHON}
COPY --from=build /opt/imagerouter /opt/imagerouter
# Nothing is written outside of /tmp, so the root may be read-only. glibc keeps 20 to 90 MiB of freed image buffers
# unless large blocks are mapped each on its own.
ENV HOME=/tmp \
    MALLOC_MMAP_THRESHOLD_=1048576 \
    PATH=/opt/imagerouter/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /tmp
EXPOSE 50051
ENTRYPOINT ["imagerouter", "serve"]
