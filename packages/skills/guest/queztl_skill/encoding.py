"""Tables of numbers and words as matrices, the same way when a model is trained and when it is used."""

import csv
import math
import zipfile

import numpy as np

from .task import InputError

CATEGORIES_MAX = 50
CELLS_MAX = 200_000_000
# Models are computed in single precision: squares of what is smaller stay finite there.
LARGEST = 1e15


def read_cells(path):
    """The header and the columns of a table as text."""
    with open(path, newline="", encoding="utf-8", errors="strict") as file:
        try:
            sample = file.read(65_536)
            file.seek(0)
            separator = max(",;\t", key=sample.split("\n", 1)[0].count)
            reader = csv.reader(file, delimiter=separator)
            head = [name.strip() for name in next(reader)]
            rows = [row for row in reader if row]
        except (csv.Error, UnicodeDecodeError, StopIteration) as error:
            raise InputError(f"{path.name} is not a table: {error}") from None
    if len(set(head)) != len(head):
        raise InputError(f"{path.name} names a column twice")
    wrong = next((i for i, row in enumerate(rows) if len(row) != len(head)), None)
    if wrong is not None:
        raise InputError(f"{path.name}: row {wrong + 1} has {len(rows[wrong])} cells, the header {len(head)}")
    if len(rows) * len(head) > CELLS_MAX:
        raise InputError(f"{path.name} has more than {CELLS_MAX} cells")
    return head, {name: [row[i].strip() for row in rows] for i, name in enumerate(head)}


def numbers(cells, name):
    """A column as finite numbers, or None where some cell is a word; empty cells and NaN are refused by row."""
    values = np.empty(len(cells))
    for i, cell in enumerate(cells):
        try:
            values[i] = float(cell)
        except ValueError:
            if cell == "":
                raise InputError(f"row {i + 1}: {name} is empty; fill or drop such rows") from None
            return None
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise InputError(f"row {bad[0] + 1}: {name} is {cells[bad[0]]}, not a finite number")
    wild = np.flatnonzero(np.abs(values) > LARGEST)
    if len(wild):
        raise InputError(f"row {wild[0] + 1}: {name} is {cells[wild[0]]}; at most {LARGEST:g} can be worked with")
    return values


def learn_encoding(columns, names):
    """How each column becomes numbers: as it is, or one place for each of its words."""
    encoding = []
    for name in names:
        if numbers(columns[name], name) is not None:
            encoding.append({"name": name})
            continue
        words = sorted(set(columns[name]))
        if len(words) > CATEGORIES_MAX:
            raise InputError(f"{name} has {len(words)} different words, at most {CATEGORIES_MAX} can be used; leave it out")
        encoding.append({"name": name, "words": words})
    return encoding


def encode(columns, encoding):
    """The matrix of a table's rows. A word that was not there in training is none of its places."""
    parts = []
    for column in encoding:
        name = column["name"]
        if name not in columns:
            raise InputError(f"there is no column {name}; there are {', '.join(list(columns)[:20])}")
        cells = columns[name]
        if "words" in column:
            parts += [np.array([cell == word for cell in cells], float) for word in column["words"]]
            continue
        values = numbers(cells, name)
        if values is None:
            wrong = next(i for i, cell in enumerate(cells) if not _is_number(cell))
            raise InputError(f"row {wrong + 1}: {name} is {cells[wrong][:40]!r}, not a number")
        parts.append(values)
    return np.stack(parts, axis=1) if parts else np.empty((0, 0))


def _is_number(cell):
    try:
        float(cell)
    except ValueError:
        return False
    return True


def read_arrays(path):
    """`x` and, where there is one, `y` of an .npz file; pictures become rows of pixels, scaled to 0..1 where they are bytes."""
    try:
        _check_claims(path)
        with np.load(path, allow_pickle=False) as file:
            x = file["x"]
            y = file["y"] if "y" in file.files else None
    except (InputError, MemoryError):
        raise
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise InputError(f"{path.name} does not hold an array x: {error}") from None
    except Exception as error:  # zipfile's own errors for damaged archives
        raise InputError(f"{path.name} cannot be read: {error}") from None
    if x.ndim < 2 or x.size == 0 or not np.issubdtype(x.dtype, np.number) or np.iscomplexobj(x):
        raise InputError(f"x in {path.name} must be rows of numbers")
    scale = 255 if x.dtype == np.uint8 else 1
    values = x.reshape(len(x), -1).astype(float) / scale
    if not np.isfinite(values).all():
        raise InputError(f"row {int(np.argwhere(~np.isfinite(values))[0][0]) + 1} of x holds something that is not a finite number")
    if np.abs(values).max() > LARGEST:
        raise InputError(f"x in {path.name} has numbers beyond {LARGEST:g}: no model can work with them")
    return values, y, list(x.shape[1:]), scale


def _check_claims(path):
    """What the arrays' headers claim, before memory is taken for it."""
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            if entry.filename not in ("x.npy", "y.npy"):
                continue
            with archive.open(entry) as file:
                version = np.lib.format.read_magic(file)
                shape, _, kind = (np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0)(file)
            count = math.prod(shape)
            if min(shape, default=0) < 0 or count > CELLS_MAX or count * kind.itemsize > entry.file_size:
                raise InputError(f"{path.name}: {entry.filename} claims {count} numbers; it holds fewer, or more than {CELLS_MAX}")
