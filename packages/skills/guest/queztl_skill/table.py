"""Tables as text: comma, semicolon, tab or blanks between cells, the first line names the columns."""

import csv
import re

import numpy as np

from .task import InputError

# No quantity that is measured is larger, and squares of what is smaller stay finite.
LARGEST = 1e15


def read_table(path, wanted, optional=()):
    """Columns of numbers by name.

    `wanted` and `optional` hold names, with `a|b` for either. The result maps the first of each to an array. Every cell
    of those columns must be a finite number, not beyond `LARGEST`; lines that begin with # are left out.
    """
    names, separator, skip = _header(path)
    columns = {}
    for name in (*wanted, *optional):
        at = next((names.index(one) for one in name.lower().split("|") if one in names), None)
        if at is not None:
            columns[name.split("|")[0]] = at
        elif name in wanted:
            raise InputError(f"{path.name} has no column {name.replace('|', ' or ')}; it has {', '.join(names)}")
    try:
        values = np.loadtxt(
            path,
            delimiter=separator,
            comments="#",
            skiprows=skip,
            usecols=sorted(columns.values()),
            ndmin=2,
            encoding="utf-8",
            quotechar='"',
        )
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(f"{path.name}: {_first_bad(path, separator, skip, columns) or error}") from None
    if len(values) == 0:
        raise InputError(f"{path.name} has no rows")
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(bad):
        raise InputError(f"{path.name}: row {bad[0] + 1} holds something that is not a finite number")
    order = sorted(columns.values())
    wild = np.argwhere(np.abs(values) > LARGEST)
    if len(wild):
        row, at = wild[0]
        name = next(name for name, column in columns.items() if column == order[at])
        raise InputError(f"{path.name}: row {row + 1} has a {name} of {values[row, at]:g}; at most {LARGEST:g} can be worked with")
    return {name: np.ascontiguousarray(values[:, order.index(at)]) for name, at in columns.items()}


def write_table(path, columns, formats="%.6g"):
    """Writes arrays of one length as comma-separated columns."""
    names = list(columns)
    form = [formats] * len(names) if isinstance(formats, str) else [formats.get(name, "%.6g") for name in names]
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        for row in zip(*columns.values(), strict=True):
            writer.writerow([value if isinstance(value, str) else f % value for f, value in zip(form, row, strict=True)])


def _header(path):
    skip = 0
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            skip += 1
            if len(line) > 65_536:
                raise InputError(f"{path.name}: line {skip} is longer than 64 KiB")
            if line.strip() and not line.startswith("#"):
                break
        else:
            raise InputError(f"{path.name} is empty")
    found = re.search(r"[,;\t]", line)
    separator = found.group() if found else None
    cells = line.strip().split(separator)
    names = [cell.strip().strip('"').lower() for cell in cells]
    return names, separator, skip


def _first_bad(path, separator, skip, columns):
    """Which cell is no number, found slowly because now it matters."""
    with open(path, encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, 1):
            if number <= skip or not line.strip() or line.startswith("#"):
                continue
            cells = line.strip().split(separator)
            for name, at in columns.items():
                if at >= len(cells):
                    return f"line {number} has no {name}"
                try:
                    float(cells[at].strip().strip('"'))
                except ValueError:
                    return f"line {number}: {name} is {cells[at].strip()[:40]!r}, not a number"
    return None
