# Nines as a container: all of the package, what it needs, its targets. docker run -v /var/run/docker.sock:/var/run/docker.sock -v $PWD:/work chaos-nines
ARG HARNESS
FROM ${HARNESS}
COPY site /opt/nines
RUN python3 -m compileall -q --invalidation-mode unchecked-hash /opt/nines
COPY chaos /opt/nines/chaos
COPY targets /opt/nines/targets
RUN python3 -m compileall -q --invalidation-mode unchecked-hash /opt/nines/chaos
ENV NINES_IN_CONTAINER=1 HOME=/root
WORKDIR /work
ENTRYPOINT ["python3", "-m", "chaos"]
