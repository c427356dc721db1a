# One image for all processes of the pipeline: what a container does is its command, see docker-compose.yml.
FROM python:3.11.13-slim-bookworm AS wheel
WORKDIR /build
COPY requirements-dev.txt ./
RUN pip install --no-cache-dir --require-hashes -r requirements-dev.txt
COPY pyproject.toml README.md celeryconfig.py flowerconfig.py ./
COPY galaxy galaxy
COPY tasks tasks
COPY workers workers
COPY beat beat
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels .

FROM python:3.11.13-slim-bookworm
ENV PYTHONUNBUFFERED=1
COPY requirements.txt /tmp/requirements.txt
COPY --from=wheel /wheels /tmp/wheels
RUN pip install --no-cache-dir --require-hashes -r /tmp/requirements.txt \
 && pip install --no-cache-dir --no-deps --no-index /tmp/wheels/*.whl \
 && rm -r /tmp/requirements.txt /tmp/wheels \
 && useradd --system --uid 10001 --create-home galaxy
USER galaxy
WORKDIR /home/galaxy
COPY flowerconfig.py ./
CMD ["galaxy", "--help"]
