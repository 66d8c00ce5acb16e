"""Finding the `test_…` functions of the scripts that run on a device."""

import ast
from pathlib import Path


def functions(folder: Path) -> list[tuple[str, str]]:
    """(module, function) of every test function in the folder's scripts."""
    return [
        (file.stem, node.name)
        for file in sorted(folder.glob("*.py"))
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
