"""The documentation as a site: ``python -m tools.site`` (``make docs``) puts it together and builds it, strictly."""
