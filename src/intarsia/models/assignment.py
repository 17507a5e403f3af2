"""The assignment problem: partners for all at the least total cost."""

from __future__ import annotations

import numpy as np


def assign(cost_nm: np.ndarray) -> np.ndarray:
    """A column for every row, no column twice, so that the sum of costs is least.

    The Hungarian Method for the Assignment Problem, Kuhn, 1955, in the form that adds one row at a time: rows and
    columns have prices, and a new row takes the path along which partners change at the least price.

    Args:
        cost_nm: What each column costs each row; finite, and no more rows than columns.

    Returns:
        int64 ``(N,)``.

    Raises:
        ValueError: There are more rows than columns.
    """
    num_rows, num_columns = cost_nm.shape
    if num_rows > num_columns:
        raise ValueError(f'{num_rows} rows cannot have a column each of {num_columns}')
    row_price, column_price = np.zeros(num_rows), np.zeros(num_columns)
    row_of = np.full(num_columns, -1)
    for new in range(num_rows):
        distance, via = np.full(num_columns, np.inf), np.full(num_columns, -1)
        reached = np.zeros(num_columns, bool)
        row, column, length = new, -1, 0.0
        while row >= 0:
            through = length + cost_nm[row] - row_price[row] - column_price
            shorter = ~reached & (through < distance)
            distance[shorter], via[shorter] = through[shorter], column
            column = int(np.where(reached, np.inf, distance).argmin())
            reached[column], length, row = True, distance[column], row_of[column]
        row_price[new] += length
        taken = reached & (row_of >= 0)
        row_price[row_of[taken]] += length - distance[taken]
        column_price[reached] -= length - distance[reached]
        while via[column] >= 0:
            row_of[column] = row_of[via[column]]
            column = via[column]
        row_of[column] = new
    assigned = np.flatnonzero(row_of >= 0)
    return assigned[row_of[assigned].argsort()]
