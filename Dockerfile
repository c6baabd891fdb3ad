# Madang in a container: the binary and the libraries it needs, nothing else.
#
#   docker build -t madang .
#   docker run --init -p 127.0.0.1:8080:8080 -p 5004:5004/udp -p 5004:5004 -p 3478:3478/udp -p 3478:3478 -v madang:/data madang
#
# Then http://127.0.0.1:8080 is a room server for this machine. docs/operations.md shows how to run it for others: with a
# certificate or behind HTTPS, with tokens (-e MADANG_INSECURE=false -e MADANG_AUTH__REQUIRED=true), and with the address at
# which clients reach this machine (-e MADANG_MEDIA__PUBLIC_IP=203.0.113.7).

FROM node:22-bookworm-slim AS node

FROM rust:1.95-bookworm AS build
COPY --from=node /usr/local/bin /usr/local/bin
COPY --from=node /usr/local/lib/node_modules /usr/local/lib/node_modules
WORKDIR /src
COPY . .
RUN .ci/image build && .ci/image rootfs /rootfs

FROM scratch
COPY --from=build /rootfs /
USER 10001:10001
WORKDIR /data
VOLUME /data
# Nobody reaches a container until its ports are published, so this one may listen everywhere without authentication:
# `-p` decides who gets in, as above, until MADANG_INSECURE is false. Each media worker has a port of its own; with more
# workers, publish 5005, 5006 and so on too.
ENV MADANG_DATA_DIR=/data \
    MADANG_HTTP__LISTEN=0.0.0.0:8080 \
    MADANG_INSECURE=true \
    MADANG_MEDIA__WORKERS=1
EXPOSE 8080/tcp 5004/udp 5004/tcp 3478/udp 3478/tcp
HEALTHCHECK --interval=15s --timeout=5s --start-period=5s CMD ["/bin/madang", "healthcheck"]
ENTRYPOINT ["/bin/madang"]
