# The harness's image with the client libraries that a target's drivers import.
ARG HARNESS
FROM ${HARNESS}
COPY site /opt/nines
RUN python3 -m compileall -q --invalidation-mode unchecked-hash /opt/nines
