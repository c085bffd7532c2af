"""Sparse node values are normalised in place once they are dense, and are the same numbers as in a copy."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sparse
from maskedmod.modalities.graph import reading


@pytest.mark.parametrize("rows", [1, 389])
def test_rows_normalised_in_place_are_equal_bit_for_bit(rows: int) -> None:
    values = sparse.random(rows, 301, 0.05, "csr", np.float32, random_state=rows)
    values.data[: values.indptr[1]] = 0  # a row that sums to 0 stays
    found = reading.dense_row_normalised(values)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, reading.row_normalised(values.toarray()))
