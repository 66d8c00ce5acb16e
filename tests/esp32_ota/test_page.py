"""docs/esp32_ota.md is true: its samples run on a twin or a board, and it names all that there is."""

import ast
import re

from agent.esp32_ota import errors
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "esp32_ota.md").read_text()
EXAMPLE, UPDATE = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
MAIN = """
from update import update, confirm
from esp32_ota import Partition
confirm(lambda: True)
running = Partition(Partition.RUNNING)
print(running.info()[4], running.app_state())
if running.info()[4] == "ota_0":
    def chunks():
        block = bytearray(4096)
        for n in reversed(range(running.ioctl(4, 0))):
            running.readblocks(n, block)
            yield n * 4096, block
    update(running.info()[3], chunks())
print("END")
"""


def test_the_example_runs_and_rolls_back(board):
    assert board.run(EXAMPLE + 'print("END")\n', resets=3) == [
        "on trial: ota_1 True",
        "rolled back from ota_1",
    ]


def test_the_safe_update_is_confirmed(board):
    board.put("update.py", UPDATE.encode())
    assert board.run(MAIN, resets=2) == ["ota_0 2", "ota_1 2"]


def test_the_page_has_every_function_with_its_arguments_and_every_constant():
    tree = ast.parse((ROOT / "agent" / "esp32_ota" / "partition.py").read_text())
    body = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "Partition").body
    functions = {
        n.name: [a.arg for a in n.args.args if a.arg not in {"self", "cls"}]
        for n in body
        if isinstance(n, ast.FunctionDef) and not n.name.startswith("_")
    }
    told = {
        name: [part.split("=")[0].strip() for part in arguments.split(",") if part]
        for name, arguments in re.findall(r"^#### Partition\.(\w+)\((.*)\)$", PAGE, re.MULTILINE)
    }
    assert told == functions
    constants = {n.targets[0].id: str(ast.literal_eval(n.value)) for n in body if isinstance(n, ast.Assign)}
    assert dict(re.findall(r"^\| `Partition\.(\w+)` \| (-?\d+) \|", PAGE, re.MULTILINE)) == constants


def test_the_page_has_every_error():
    told = re.findall(r"^\| (-?\d+) \| `(\w+)` \|$", PAGE, re.MULTILINE)
    assert {name: int(code) for code, name in told} == errors._CODES
