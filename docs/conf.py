"""The documentation as pages: `make docs`, with warnings as errors."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

project = "moica-gateway"
author = "moica-gateway"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
napoleon_google_docstring = True
html_theme = "alabaster"
html_theme_options = {"description": "Sign with 行動自然人憑證", "page_width": "72rem"}
html_show_sourcelink = False
html_copy_source = False
