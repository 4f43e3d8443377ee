"""Settings of Sphinx; the sources are put together by ``tools/site/__main__.py``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

project = "Nines"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
root_doc = "index"
exclude_patterns: list[str] = []
html_theme = "furo"
html_title = "Nines"
html_static_path: list[str] = []
html_show_sourcelink = False
pygments_style = "default"
myst_heading_anchors = 4
myst_enable_extensions = ["deflist"]
autodoc_typehints = "description"
autodoc_member_order = "bysource"
autoclass_content = "class"
suppress_warnings = ["misc.highlighting_failure"]
