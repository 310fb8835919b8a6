# The operator's image. BASE is any Debian 12 image with Python 3.11 and its venv module; both stages must use the same one,
# since a virtual environment points at the interpreter that made it.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
# Settings that pip needs behind a proxy or a mirror; unset unless given with --build-arg.
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_TRUSTED_HOST
ARG PIP_FIND_LINKS
ARG PIP_CERT
ARG PIP_DEFAULT_TIMEOUT
ARG SSL_CERT_FILE
ARG SSL_CERT_DIR
ARG REQUESTS_CA_BUNDLE
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
# The tools live in an environment of their own, so that neither pip nor setuptools gets into the product's.
COPY requirements.lock ./
RUN python3 -m venv /build/tools \
 && python3 -m venv --without-pip /opt/recmodel \
 && /build/tools/bin/pip --python /opt/recmodel/bin/python install --quiet --no-compile --require-hashes -r requirements.lock
RUN printf '%s\n' 'setuptools==84.2.1 --hash=sha256:3ff8b3b5492a0aa66960f4419365a86b84e013070d4313e4d4a6894f5d64d6bc' >build.lock \
 && /build/tools/bin/pip install --quiet --require-hashes -r build.lock
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY operator operator
RUN /build/tools/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist . \
 && /build/tools/bin/pip --python /opt/recmodel/bin/python install --quiet --no-compile --no-deps dist/*.whl
# Of the kubernetes package only the reading of credentials is used: API objects are plain dictionaries here, so its
# generated types and calls (72 MB) go. Byte code is written now, since the root file system is read-only in the cluster: importing the
# operator does it for just the modules that it loads, and a module that is missing fails the build and not the cluster.
RUN cd /opt/recmodel/lib/python3.11/site-packages/kubernetes \
 && find client/api client/models aio/client/api aio/client/models -type f ! -name __init__.py -delete \
 && /opt/recmodel/bin/python -c 'import recmodel.controller.__main__, recmodel.controller.keda.scaler, recmodel.cli, recmodel.decide, recmodel.api.crd'

FROM ${BASE}
LABEL org.opencontainers.image.title="recmodel" \
      org.opencontainers.image.description="Kubernetes operator for elastic recommender inference" \
      org.opencontainers.image.licenses="Apache-2.0"
# Where the base image carries pip, it goes: nothing is installed in a running container.
RUN rm -rf /usr/local/lib/python3.11/site-packages/* /usr/local/bin/pip* /usr/bin/pip* /usr/lib/python3/dist-packages/pip* /usr/share/python-wheels
COPY --from=build /opt/recmodel /opt/recmodel
COPY LICENSE NOTICE /licenses/
# USER: kopf asks for the user's name, and the number below has none (nor has the one that OpenShift picks).
ENV PATH=/opt/recmodel/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 USER=recmodel HOME=/tmp
USER 65532:65532
WORKDIR /tmp
EXPOSE 8080 9090
CMD ["python", "-m", "recmodel.controller"]
