# The base of every image that Nines builds: any Debian-like image, with what it lacks of python3, nft, ip, setcap, ps.
ARG FROM
FROM ${FROM}
ARG PACKAGES
RUN set -e; missing=; \
    python3 -c 'import asyncio, json, ssl' 2>/dev/null || missing=yes; \
    for program in nft ip setcap ps; do command -v "$program" >/dev/null || missing=yes; done; \
    if [ -n "$missing" ]; then \
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends ${PACKAGES} \
        && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin; \
    fi
