"""Exporters: plug-ins that turn a run folder into what another tool reads, one format a file. They read the folder and write nothing."""
