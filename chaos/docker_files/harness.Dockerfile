# Agent, name server and prober: their code as it is installed here, the few packages it imports there, and a Toxiproxy server.
# What changes seldom comes first, so that a changed line of code costs two short steps.
ARG BASE
FROM ${BASE}
COPY toxiproxy-server /usr/local/bin/toxiproxy-server
COPY site /opt/nines
RUN toxiproxy-server -version && python3 -m compileall -q --invalidation-mode unchecked-hash /opt/nines
COPY chaos /opt/nines/chaos
COPY agent /opt/nines/agent
RUN python3 -m compileall -q --invalidation-mode unchecked-hash /opt/nines/chaos /opt/nines/agent
ENV PYTHONPATH=/opt/nines PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
