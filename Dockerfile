FROM python:3.11-slim AS build
WORKDIR /src
# RUNTIME_LOCK=requirements-native.lock adds what the native listener needs.
ARG RUNTIME_LOCK=requirements-runtime.lock
COPY requirements.lock requirements-runtime.lock requirements-native.lock ./
# Two environments: one that can build the wheel, one that goes into the image. Both only take locked bytes.
RUN python -m venv /build && /build/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
RUN python -m venv /app && /app/bin/pip install --no-cache-dir --require-hashes -r $RUNTIME_LOCK
COPY pyproject.toml LICENSE README.md ./
COPY server server
COPY generated/python generated/python
COPY clients/python clients/python
RUN /build/bin/python -m hatchling build -t wheel -d /dist && /app/bin/pip install --no-deps --no-index /dist/*.whl

FROM python:3.11-slim
RUN useradd --system --uid 10001 --create-home paceline
COPY --from=build /app /app
ENV PATH=/app/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001
WORKDIR /home/paceline
EXPOSE 50051
ENTRYPOINT ["paceline"]
# Inside a container loopback reaches nobody. There is no authentication: publish the port to trusted networks only.
CMD ["serve", "--listen", "0.0.0.0:50051"]
