"""Pages from templates that lie beside the code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jinja2

from gander.errors import printable


def render(package: str, name: str, values: Mapping[str, Any]) -> str:
    """Fill in a package's template; `.html` is escaped, and a missing value is an error."""
    return _world(jinja2.PackageLoader(package, "")).get_template(name).render(values)


def render_text(template: str, values: Mapping[str, Any]) -> str:
    """Fill in a template that is no page; a missing value is an error."""
    return _world(None).from_string(template).render(values)


def _world(loader: jinja2.BaseLoader | None) -> jinja2.Environment:
    world = jinja2.Environment(
        loader=loader,
        autoescape=jinja2.select_autoescape(("html",), default_for_string=False),
        undefined=jinja2.StrictUndefined,
        # Of a page the browser takes care; what it is given safe must stay so.
        finalize=_readable if loader is None else None,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    world.filters["figure"] = lambda value: "" if value is None else f"{value:.4g}"
    return world


def _readable(value: Any) -> Any:
    return printable(value) if isinstance(value, str) else value
