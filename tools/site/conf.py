"""Sphinx' settings for the course site; tools/build_site.py lays the pages out and calls Sphinx."""

import re

project = "Diffusion models, computed"
copyright = "the course's authors, MIT licence"  # noqa: A001
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx-mathjax-offline"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = project
html_static_path = ["_static"]
html_css_files = ["course.css"]
html_copy_source = html_show_sourcelink = html_show_sphinx = False
html_favicon = "_static/favicon.png"
pygments_style, pygments_dark_style = "a11y-high-contrast-light", "a11y-high-contrast-dark"
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#00508a", "color-brand-content": "#00508a"},
    "dark_css_variables": {"color-brand-primary": "#7cc4f4", "color-brand-content": "#7cc4f4"},
}

nb_execution_mode = "off"  # the notebooks come with their outputs
nb_ipywidgets_js = {}  # no kernel here, and nothing is fetched: a slider's place is taken by the strip beside it
nb_mime_priority_overrides = [("html", "application/vnd.jupyter.widget-view+json", None)]
nb_merge_streams = True
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3
suppress_warnings = ["myst.header", "mystnb.unknown_mime_type"]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
add_module_names = False


def plain(app: object, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """labkit's docstrings are text for people: keep paragraphs, set `words` as code, escape the rest for Sphinx.

    What is indented below a line that ends in a colon is code.
    """
    code = False
    for i, line in enumerate(lines):
        begins = line.startswith("    ") and lines[i - 1 : i] == [""] and lines[i - 2].endswith(":")
        code = line.startswith("    ") and (code or begins)
        if begins:
            lines[i - 2] += ":"
        if code:
            continue
        parts = re.split(r"``?([^`]+)``?", line)
        lines[i] = "".join(
            f"``{part}``" if k % 2 else re.sub(r"([*|_\\])", r"\\\1", part) for k, part in enumerate(parts)
        )


def offline(app: object) -> None:
    """Formulas as drawings (SVG): one file, and no fonts to fetch. The extension has set another one before."""
    app.config.mathjax_path = "mathjax/tex-svg.js"


def setup(app: object) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", plain)
    app.connect("builder-inited", offline)
