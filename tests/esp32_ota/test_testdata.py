"""The fetching of test data says what is missing, and takes nothing else for it."""

import hashlib
import os
import subprocess
import sys

import pytest

from tests.support import testdata
from tests.support.paths import ROOT


def test_one_line_says_what_could_not_be_fetched(tmp_path):
    environment = {**os.environ, "OTAFLEET_TEST_DATA": str(tmp_path), "PIP_NO_INDEX": "1"}
    command = [sys.executable, "-m", "tests.support.testdata"]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert "could not be fetched" in line
    assert str(tmp_path) in line
    assert list(tmp_path.iterdir()) == []


def test_what_was_fetched_is_what_is_pinned():
    testdata.genuine_firmware()
    testdata.older_merged_firmware()
    testdata.umqtt_dir()
    for name, digest in testdata.SHA256.items():
        assert hashlib.sha256((testdata.folder() / name).read_bytes()).hexdigest() == digest


def test_another_file_under_that_name_is_refused(tmp_path):
    with pytest.raises(testdata.TestDataError, match=r"simple\.py is not the file"):
        testdata._put(tmp_path / "simple.py", b"other", testdata.SHA256["umqtt/simple.py"])
    assert list(tmp_path.iterdir()) == []
