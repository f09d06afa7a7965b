# One image with all five programs, and the example score; a container names the one it runs: /usr/local/bin/generator, udf,
# sink, endpoint, experiment or score. `make image` builds it.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src

# The dependencies alone, with empty programs in place of ours: built again only when a manifest changes.
COPY Cargo.toml Cargo.lock ./
COPY wire/Cargo.toml wire/
COPY vertex/Cargo.toml vertex/
COPY launcher/Cargo.toml launcher/
COPY endpoint/Cargo.toml endpoint/
COPY generator/Cargo.toml generator/
COPY udf/Cargo.toml udf/
COPY sink/Cargo.toml sink/
COPY dataplane/Cargo.toml dataplane/
COPY experiment/trials/Cargo.toml experiment/trials/
COPY experiment/engine/Cargo.toml experiment/engine/
COPY experiment/report/Cargo.toml experiment/report/
COPY experiment/local/Cargo.toml experiment/local/
COPY experiment/cluster/Cargo.toml experiment/cluster/
COPY experiment/cli/Cargo.toml experiment/cli/
COPY examples/score/Cargo.toml examples/score/
COPY examples/postgres/Cargo.toml examples/postgres/
COPY tests/Cargo.toml tests/
COPY bench/Cargo.toml bench/
RUN set -e; \
    for crate in wire vertex launcher dataplane tests udf experiment/trials experiment/engine experiment/report experiment/local experiment/cluster; do mkdir -p $crate/src; touch $crate/src/lib.rs; done; \
    for crate in endpoint generator udf sink experiment/cli examples/score examples/postgres bench; do mkdir -p $crate/src; echo 'fn main() {}' > $crate/src/main.rs; done; \
    sed -i '/^\[\[test\]\]/,/^$/d' tests/Cargo.toml udf/Cargo.toml; \
    cargo build --profile dist --locked --workspace --exclude bench --exclude postgres-lookup --bins; \
    rm -rf */src experiment/*/src examples/*/src

COPY . .
# What was built from the empty programs is newer than the sources: cargo compares the times of files.
RUN find . -name '*.rs' -exec touch {} + \
    && cargo build --profile dist --locked --workspace --exclude bench --exclude postgres-lookup --bins \
    && mkdir -p /out/usr/local/bin \
    && cd target/dist && cp endpoint generator udf sink experiment score /out/usr/local/bin/
# Cargo leaves the symbols in a program whose package has a profile of its own.
RUN strip /out/usr/local/bin/*

FROM gcr.io/distroless/cc-debian12:nonroot
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="async-reduce" \
      org.opencontainers.image.description="How a Numaflow reduce UDF should do slow work for each event: an experiment" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /out/ /
# By number: Kubernetes can tell only then that it is not root (runAsNonRoot).
USER 65532:65532
CMD ["/usr/local/bin/experiment", "--help"]
