# The server as an image: built on one Debian, run on the same without the tools.

FROM rust:1.95-bookworm AS build
# librdkafka and AWS-LC are built from source; the rest of what they need is in the image.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends cmake libssl-dev pkg-config zlib1g-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY . .
# The cache outlives a build, and is no part of the image.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --release --locked --bin userpool \
    && install -D --strip target/release/userpool /out/userpool

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates libssl3 zlib1g \
    && rm -rf /var/lib/apt/lists/* \
    # A number, because Kubernetes can't tell from a name that an account is not root.
    && useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin userpool
COPY --from=build /out/userpool /usr/local/bin/userpool
USER 10001:10001
# gRPC and HTTP
EXPOSE 50051 8080
ENTRYPOINT ["userpool"]
CMD ["serve"]
