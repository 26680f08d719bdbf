# The server as an image: Node, the production bundle, and the three libraries that are native code
# or WebAssembly. Nothing is written outside of /data.
#
#   docker build -t sessiond .
#   docker run --read-only -v sessiond:/data --network container:AGENT sessiond
#
# An agent reaches it over the loopback interface it shares with it (a Kubernetes pod, or
# `--network container:`), or over a unix socket in a folder both mount:
#
#   docker run --read-only -v sessiond:/data -v /run/sessiond:/run/sessiond \
#     -e SESSIOND_UNIX=/run/sessiond/sessiond.sock sessiond
#
# `-p 7377:7377` does not reach it, on purpose: whoever can call it reads and writes every session.
# Where the network is trusted: `-e SESSIOND_LISTEN=0.0.0.0:7377
# -e SESSIOND_DANGEROUSLY_ALLOW_REMOTE=true`, and for HTTP/1.1 `-e SESSIOND_ALLOW_HOSTS=NAME` with the
# name that callers use.

# Any image with Node 24, npm, glibc and setpriv.
ARG BASE=node:24-slim

FROM ${BASE} AS build
WORKDIR /build
COPY package.json package-lock.json ./
COPY sdk/contract/package.json sdk/contract/
COPY sdk/client/package.json sdk/client/
# A registry of one's own, or its certificates: `--secret id=npmrc,src=...`. It stays out of the image.
# Nothing that is used here needs its install script.
RUN --mount=type=secret,id=npmrc,target=/root/.npmrc \
    npm ci --ignore-scripts --no-fund --no-audit
COPY . .
# Of the libraries outside the bundle, goes what no call loads: rank files that the WebAssembly has
# inside, and binaries for other libc and other versions of Node.
RUN node sdk/build/main.ts server \
    && rm -f dist/testing.* \
    && node deploy/image/keep-externals.js lmdb fs-native-extensions tiktoken \
    && npm prune --ignore-scripts --no-fund --no-audit --offline \
    && rm -rf node_modules/tiktoken/encoders node_modules/tiktoken/lite \
    && rm -f node_modules/@lmdb/*/node.abi*.node node_modules/@lmdb/*/*.musl.node \
    && find node_modules -type d -empty -delete

FROM ${BASE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="sessiond" \
      org.opencontainers.image.description="Session sidecar for AI agents" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

# A number, because Kubernetes' runAsNonRoot cannot judge a name.
RUN groupadd --gid 10001 sessiond \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin sessiond \
    && install -d -o 10001 -g 10001 -m 700 /data

WORKDIR /app
COPY --from=build /build/node_modules node_modules
COPY --from=build /build/package.json /build/LICENSE /build/deploy/image/healthcheck.js ./
COPY --from=build /build/dist dist

# What the engine compiled for a start is in the image, by one start of the user it is for, and is no more his than
# the code is. Another user, or a processor that can do other things, starts as without it.
RUN --mount=type=bind,from=build,source=/build/deploy/image/start-once.js,target=/start-once.js \
    install -d -o 10001 node_modules/.cache \
    && setpriv --reuid 10001 --regid 10001 --clear-groups node /start-once.js \
        node --min-semi-space-size=8 --max-semi-space-size=16 /app/dist/main.js \
    && chown -R 0:0 node_modules/.cache \
    && chmod -R a+rX node_modules/.cache

# Calls are taken on loopback; the probe port, which has no data, is for those outside the pod.
ENV NODE_ENV=production \
    SESSIOND_DATA=/data \
    SESSIOND_LISTEN=127.0.0.1:7377 \
    SESSIOND_PROBE_LISTEN=0.0.0.0:7378
EXPOSE 7377 7378
VOLUME /data
USER 10001:10001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD ["node", "/app/healthcheck.js"]
# Semi-spaces of 8 MB at first, because a start that has to grow them takes longer, and of 16 at most: with those
# of 64 that the engine takes on a large machine, a server under load has 75 MB more and about as many appends a second.
ENTRYPOINT ["node", "--min-semi-space-size=8", "--max-semi-space-size=16", "/app/dist/main.js"]
CMD ["serve"]
