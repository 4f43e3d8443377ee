# What some faults start or preload inside a node, whatever its image: stress-ng with all of its libraries and their own loader, and
# libfaketime. One folder and nothing else: it is copied into a volume, and no container of this image is ever started.
ARG BASE
FROM ${BASE} AS collected
RUN set -e; \
    if ! command -v apt-get >/dev/null; then echo 'this base image has no apt-get' >&2; exit 1; fi; \
    apt-get update -qq; \
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends stress-ng libfaketime >/dev/null; \
    mkdir -p /.nines/lib; \
    cp "$(command -v stress-ng)" /.nines/stress-ng; \
    ldd /.nines/stress-ng | while read -r name arrow path rest; do \
        if [ "$arrow" = '=>' ]; then cp -L "$path" "/.nines/lib/$name"; fi; \
        case "$name" in /*) cp -L "$name" /.nines/nines-tool;; esac; \
    done; \
    cp -L /usr/lib/*/faketime/libfaketime.so.1 /usr/lib/*/faketime/libfaketimeMT.so.1 /.nines/lib/; \
    /.nines/nines-tool --library-path /.nines/lib /.nines/stress-ng --version
FROM scratch
COPY --from=collected /.nines /.nines
CMD ["/.nines/nines-tool"]
