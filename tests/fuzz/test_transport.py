"""A few thousand cases of the byte-level fuzzer; `python -m tests.fuzz.transport` runs as many as you like."""

import pytest

from tests.fuzz.transport import fuzz


@pytest.mark.parametrize("seed", [1, 2])
def test_the_link_reads_mad_streams_as_the_standard_says(seed):
    seen = fuzz(5000, seed)
    assert min(seen.values()) > 1000
