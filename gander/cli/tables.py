"""Tables, as every verb prints them."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table


def make_table(*columns: str) -> Table:
    """Make an empty table."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def print_table(table: Table) -> None:
    """Print a table, as wide as the terminal."""
    console = Console(highlight=False)
    if not console.is_terminal:  # a pipe has no width; keep a row on its line
        console = Console(highlight=False, width=200)
    console.print(table)
