"""The site: README and the pages under docs/ as they stand, with a reference made from the code.

The root of the sources is the project itself, so a link that works in the repository works on the site. ``make docs``
builds it, without a network, and every warning (a link that leads nowhere, a name that is not there) is an error.
"""

from __future__ import annotations

import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

project = "aqreanalysis"
author = "The aqreanalysis authors"
release = version = version_of("aqreanalysis")

extensions = ["myst_nb", "sphinx.ext.autodoc", "numpydoc", "sphinx_click", "reference_pages"]
root_doc = "docs/index"
include_patterns = [
    "docs/**",
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "CODE_OF_CONDUCT.md",
    "SECURITY.md",
    "benchmarks/*.md",
    "benchmarks/results/*.md",
]
exclude_patterns = ["docs/generated/.*", "docs/generated/skill.md"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4
# What a tutorial shows was computed when the site was built; an example that fails fails the build.
nb_execution_mode = "cache"
nb_execution_cache_path = "build/docs/executed"
nb_execution_raise_on_error = True
nb_execution_timeout = 900
nb_merge_streams = True

numpydoc_show_class_members = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"

html_theme = "furo"
html_title = "aqreanalysis"
html_static_path: list[str] = []
