# The server as an image: built on one Debian, run on the same without the tools. `scripts/image` builds and tries it.

ARG RUST_IMAGE=docker.io/library/rust:1.95-bookworm
ARG RUNTIME_IMAGE=docker.io/library/debian:bookworm-slim

FROM ${RUST_IMAGE} AS compiled
# librdkafka and AWS-LC are built from source.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ gcc libssl-dev make pkg-config zlib1g-dev \
    && rm -rf /var/lib/apt/lists/*
# It writes into the binary which crates are in it, for whoever looks for known weaknesses.
ARG CARGO_AUDITABLE=0.7.7
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    cargo install --locked --root /usr/local cargo-auditable@${CARGO_AUDITABLE}
WORKDIR /build
COPY . .
# The caches outlive a build, and are no part of the image.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo auditable build --release --locked --bin userpool \
    && install -D --strip target/release/userpool /out/userpool

FROM ${RUNTIME_IMAGE} AS runtime
# The fixes since the base was made come with it. The account has a number, because Kubernetes can't tell from a name that
# it is not root.
RUN export DEBIAN_FRONTEND=noninteractive \
    && apt-get update \
    && apt-get upgrade --yes --no-install-recommends \
    && apt-get install --yes --no-install-recommends ca-certificates libssl3 zlib1g \
    && apt-get clean \
    && rm -rf /var/lib/apt/lists/* /var/log/apt /var/log/dpkg.log /var/log/alternatives.log \
    && groupadd --gid 10001 userpool \
    && useradd --uid 10001 --gid 10001 --no-create-home --no-log-init --shell /usr/sbin/nologin userpool
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="userpool" \
      org.opencontainers.image.description="A self-hosted user directory with the Amazon Cognito user-pools API" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
USER 10001:10001
# gRPC and HTTP
EXPOSE 50051 8080
ENTRYPOINT ["userpool"]
CMD ["serve"]

# For machines that can't have an image of Rust: a context with nothing but a binary that was compiled elsewhere.
FROM runtime AS given
COPY userpool /usr/local/bin/userpool

FROM runtime
COPY --from=compiled /out/userpool /usr/local/bin/userpool
