"""Pages from templates that lie beside the code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jinja2


def render(package: str, name: str, told: Mapping[str, Any]) -> str:
    """Fill in a package's template; what goes into `.html` is escaped, and what is not told is an error."""
    world = jinja2.Environment(
        loader=jinja2.PackageLoader(package, ""),
        autoescape=jinja2.select_autoescape(("html",)),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    world.filters["figure"] = lambda value: "" if value is None else f"{value:.4g}"
    return world.get_template(name).render(told)
