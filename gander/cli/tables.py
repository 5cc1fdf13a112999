"""Tables, as every verb prints them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gander.errors import printable

if TYPE_CHECKING:
    from rich.table import Table


def make_table(*columns: str) -> Table:
    """Make an empty table."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def add_row(table: Table, *cells: str) -> None:
    """Add a row; what a cell says is text, and no markup or command for the terminal."""
    table.add_row(*(printable(cell) for cell in cells))


def print_table(table: Table) -> None:
    """Print a table, as wide as the terminal."""
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    if not console.is_terminal:  # a pipe has no width; keep a row on its line
        console = Console(highlight=False, markup=False, width=200)
    console.print(table)
