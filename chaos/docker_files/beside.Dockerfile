# The whole harness, to stand beside an engine that is elsewhere: the image of its helpers, the packages that speak to an engine, all of our code.
ARG HARNESS
FROM ${HARNESS}
COPY site /opt/nines
RUN python3 -m compileall -q --invalidation-mode unchecked-hash /opt/nines
COPY chaos /opt/nines/chaos
RUN python3 -m compileall -q --invalidation-mode unchecked-hash /opt/nines/chaos
