"""The documentation as a site: `make docs`. Pages are read where they are, so that their links hold in both places."""

from __future__ import annotations

from pathlib import Path

from pygments.lexers.special import TextLexer
from pygments.lexers.sql import PostgresLexer
from sphinx.application import Sphinx

project = "agentapp"
author = "agentapp contributors"
project_copyright = author
root_doc = "docs/index"
include_patterns = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/**.md"]
exclude_patterns = [".*", "build", "docs/howto/your_package"]

extensions = ["myst_parser"]
# As code hosts make anchors of headings.
myst_heading_anchors = 6

html_theme = "furo"
html_title = "agentapp"
html_copy_source = False
html_show_sourcelink = False
html_extra_path = ["index.html"]
# Diagrams are drawn in the browser, where build/mermaid has the script (`make docs` puts it there); else they are text.
_DRAWS = Path(__file__).parents[3] / "build" / "mermaid" / "mermaid.min.js"
html_static_path = ["diagrams.js", str(_DRAWS)] if _DRAWS.exists() else []
html_js_files = [(name, {"defer": "defer"}) for name in ("mermaid.min.js", "diagrams.js")] if _DRAWS.exists() else []


def setup(app: Sphinx) -> None:
    app.add_lexer("sql", PostgresLexer)
    app.add_lexer("mermaid", TextLexer)
