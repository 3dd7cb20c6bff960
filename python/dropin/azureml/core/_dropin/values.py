"""What scripts log, as columns and rows of plain values."""

import collections
import numbers

from azureml.exceptions import AzureMLException, UserErrorException

# rows: one {column: value} for each value of the metric; kind: its uxMetricType
Metric = collections.namedtuple("Metric", "name kind columns rows step")

_TYPES = {type(None): "none", bool: "bool", int: "int", float: "double", str: "string"}
_WIDTH = {name: width for width, name in enumerate(_TYPES.values())}
_INT64 = 1 << 63


def plain(value):
    """A scalar as None, bool, int, float or str; numpy's and the frameworks' scalars by their item()."""
    if type(value) not in _TYPES:
        value = _converted(value)
    if type(value) is int and not -_INT64 <= value < _INT64:
        return float(value)
    return value


def _converted(value):
    for base in (bool, int, float, str):
        if isinstance(value, base):
            return base(value)
    item = getattr(value, "item", None)
    if callable(item):
        try:
            inner = item()
        except (TypeError, ValueError, RuntimeError) as error:
            raise UserErrorException("{} is no single value: {}".format(type(value).__name__, error)) from error
        if type(inner) in _TYPES:
            return inner
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    raise UserErrorException(
        "a metric has numbers, strings, bools or None, not {}".format(type(value).__name__)
    )


def plain_list(values):
    """A list, array, series or other iterable as a list of plain scalars; a scalar as a list of one."""
    tolist = getattr(values, "tolist", None)
    if callable(tolist):
        values = tolist()
    if isinstance(values, (str, bytes, dict)) or not hasattr(values, "__iter__"):
        values = [values]
    return [plain(value) for value in values]


def column_type(values):
    """The narrowest type that has room for all values."""
    return max((_TYPES[type(value)] for value in values), key=_WIDTH.__getitem__)


def _checked(name):
    if not isinstance(name, str) or not name:
        raise UserErrorException("a metric needs a name, and {!r} is none".format(name))
    return name


def scalar(name, value, step=None):
    """What log() stores."""
    value = plain(value)
    if step is not None:
        step = int(step)
    return Metric(_checked(name), "azureml.v1.scalar", {name: _TYPES[type(value)]}, [{name: value}], step)


def listing(name, values):
    """What log_list() stores; None for an empty list."""
    values = plain_list(values)
    if not values:
        return None
    columns = {_checked(name): column_type(values)}
    return Metric(name, "azureml.v1.list", columns, [{name: value} for value in values], None)


def table(name, columns):
    """What log_row() and log_table() store; None if there is no row."""
    if not isinstance(columns, dict):
        raise UserErrorException("a table is a dict of columns, not {}".format(type(columns).__name__))
    lists = {str(column): plain_list(values) for column, values in columns.items()}
    lengths = {column: len(values) for column, values in lists.items()}
    if len(set(lengths.values())) > 1:
        raise AzureMLException("the columns of table {!r} differ in length: {}".format(name, lengths))
    if not lengths or not next(iter(lengths.values())):
        return None
    rows = [dict(zip(lists, row)) for row in zip(*lists.values())]
    types = {column: column_type(values) for column, values in lists.items()}
    return Metric(_checked(name), "azureml.v1.table", types, rows, None)


def artifact(name, kind, address):
    """What log_image() and its like store: where the content is."""
    return Metric(_checked(name), "azureml.v2." + kind, {name: "Artifact"}, [{name: address}], None)


def read(answer):
    """The Python value of a stored metric, or of several stored under one name."""
    columns = answer["columns"]
    rows = [row.get("data") or {} for row in answer.get("value") or []]
    series = {column: [_read_cell(row.get(column), kind) for row in rows] for column, kind in columns.items()}
    if answer["properties"]["uxMetricType"] != "azureml.v1.table":
        values = next(iter(series.values()), [])
        return values[0] if len(values) == 1 else values
    return {column: values[0] if len(rows) == 1 else values for column, values in series.items()}


def _read_cell(value, kind):
    if value is not None and str(kind).lower() in ("double", "float"):
        return float(value)
    return value
