"""A plug-in that does not load: what it was written for is not installed."""

from a_package_that_is_not_here import Broken  # type: ignore[import-not-found]

__all__ = ["Broken"]
