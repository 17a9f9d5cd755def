# syntax=docker/dockerfile:1.7

# Postrider as an image: one binary, one directory to write to, nothing else.
#
#   docker build -t postrider --build-arg REVISION="$(git rev-parse HEAD)" \
#     --build-arg SOURCE_DATE_EPOCH="$(git log -1 --format=%ct)" .
#   docker run --read-only -v postrider:/var/lib/postrider -p 127.0.0.1:8080:8080 postrider
#
# Both stages are of the same Debian release, so the binary meets the C library that it was linked with.
ARG RUST_VERSION=1.95.0
ARG DEBIAN=bookworm

# What builds: Rust with a C compiler (for SQLite and the cryptography), and cargo-chef, which turns the workspace's
# manifests into a recipe, so that dependencies are a layer of their own.
FROM rust:${RUST_VERSION}-slim-${DEBIAN} AS chef
ARG CARGO_CHEF_VERSION=0.1.78
RUN cargo install --locked --version "${CARGO_CHEF_VERSION}" cargo-chef \
    && rm -rf "${CARGO_HOME}/registry"
WORKDIR /build

# The recipe changes only when a manifest or the lock file does.
FROM chef AS planner
COPY . .
RUN cargo chef prepare --recipe-path recipe.json

FROM chef AS builder
# Dependencies: this layer is built anew only when the recipe or the toolchain changes. (rust-toolchain.toml is not in
# the build context: the image has the pinned version, without the components that only developers need.)
COPY --from=planner /build/recipe.json recipe.json
RUN cargo chef cook --profile dist --locked --package postrider --bin postrider --recipe-path recipe.json
COPY . .
# What the binary says of itself, and the time that is put where a time is recorded. They come this late because
# they change with every commit.
ARG REVISION=unknown
ARG SOURCE_DATE_EPOCH=0
ENV POSTRIDER_REVISION=${REVISION} \
    SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH}
RUN cargo build --profile dist --locked --package postrider --bin postrider \
    && mkdir -p /image/usr/local/bin /image/var/lib/postrider \
    && cp target/dist/postrider /image/usr/local/bin/postrider \
    && find /image -exec touch --no-dereference --date="@${SOURCE_DATE_EPOCH}" {} +

# What is shipped: distroless has the C library, its unwinder, time zones and an account without rights, and neither
# a shell nor a package manager: nothing to patch that is not used, nothing to run for whoever gets in. TLS roots are
# in the binary.
FROM gcr.io/distroless/cc-debian12:nonroot AS final
ARG REVISION=unknown
ARG VERSION=0.1.0
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="Postrider" \
      org.opencontainers.image.description="Multi-tenant webhook delivery that never loses what it accepted" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
COPY --from=builder --chown=0:0 /image/usr /usr
# The only place that is written to: the root file system may be read-only.
COPY --from=builder --chown=65532:65532 /image/var/lib/postrider /var/lib/postrider
VOLUME ["/var/lib/postrider"]
WORKDIR /var/lib/postrider
# By number, so that `runAsNonRoot` can be checked without an account file.
USER 65532:65532
# Inside a container the loopback is the container's own; what is published decides who reaches the API. The
# management listener stays where it is by default, on the loopback: whoever scrapes it opens it on purpose.
ENV POSTRIDER_SERVER__LISTEN=0.0.0.0:8080 \
    POSTRIDER_DATABASE__DIRECTORY=/var/lib/postrider
EXPOSE 8080 9464
# The end takes `server.shutdown_timeout_s` (30 s) at most, and some to give the lease back: `docker run --stop-timeout 45`.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --start-interval=1s --retries=3 \
    CMD ["/usr/local/bin/postrider", "health"]
ENTRYPOINT ["/usr/local/bin/postrider"]
CMD ["serve"]
