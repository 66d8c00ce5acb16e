"""Writes constants out where they are used: a device then keeps neither their names nor the modules that name them.

MicroPython's own `const()` does so within one file and for names with an underscore only. A constant is here what a
module sets once, at its top, to a whole number of up to 32 bits, a text, bytes or a tuple of them, under a name in
capitals; a tuple only leaves its own module. Lines stay where they are, so that a traceback still tells the line.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

_CAPITALS = re.compile(r"_?[A-Z][A-Z0-9_]*")
_LARGEST = (1 << 32) - 1
"""Beyond, a number is an object of its own, which is better kept once."""


def inline(sources: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the sources, by path, with their own and each other's constants written out.

    Only imports relative to a source are followed. A public constant keeps its place in its module, for the programs
    of users.
    """
    modules = {path: _Module(path, source) for path, source in sources.items()}
    return {path: module.rewritten(modules) for path, module in modules.items()}


@dataclass(slots=True)
class _Module:
    path: str
    source: bytes
    tree: ast.Module = field(init=False)
    constants: dict[str, object] | None = None
    """None until somebody asks: they may be made of those of other modules."""

    def __post_init__(self) -> None:
        self.tree = ast.parse(self.source)

    def known(self, modules: Mapping[str, "_Module"]) -> dict[str, object]:
        """Return what this module defines."""
        if self.constants is None:
            self.constants = {}
            names = dict(self._imported(modules))
            stored = self._stored()
            for statement in self.tree.body:
                match statement:
                    case ast.Assign(targets=[ast.Name(id=name)]) if (
                        _CAPITALS.fullmatch(name) and stored[name] == 1
                    ):
                        value = _value(statement.value, {**names, **self.constants})
                        if value is not None:
                            self.constants[name] = value
        return self.constants

    def _stored(self) -> Counter[str]:
        """How often each name is bound otherwise than by an import."""
        found: Counter[str] = Counter()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
                found[node.id] += 1
            elif isinstance(node, ast.arg):
                found[node.arg] += 1
        return found

    def _from(self, node: ast.ImportFrom) -> PurePosixPath:
        return PurePosixPath(self.path).parents[node.level - 1].joinpath(*(node.module or "").split("."))

    def _imports(self) -> Iterator[ast.ImportFrom]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ImportFrom) and node.level:
                yield node

    def _imported(self, modules: Mapping[str, "_Module"]) -> Iterator[tuple[str, object]]:
        """Names that stand for constants of other modules."""
        for node in self._imports():
            source = modules.get(f"{self._from(node)}.py")
            theirs = source.known(modules) if source else {}
            for alias in node.names:
                if alias.name in theirs:
                    yield alias.asname or alias.name, theirs[alias.name]

    def _imported_modules(self, modules: Mapping[str, "_Module"]) -> Iterator[tuple[str, dict[str, object]]]:
        """Names that stand for other modules, and their constants."""
        for node in self._imports():
            for alias in node.names:
                if source := modules.get(f"{self._from(node) / alias.name}.py"):
                    yield alias.asname or alias.name, source.known(modules)

    def rewritten(self, modules: Mapping[str, "_Module"]) -> bytes:
        """Return the source with every constant written out, and without imports that nobody uses any more."""
        own = {name: value for name, value in self.known(modules).items() if not isinstance(value, tuple)}
        names = {**dict(self._imported(modules)), **own}
        others = dict(self._imported_modules(modules))
        text = _Text(self.source)
        needed: set[str] = set()
        parents = {id(node.value): node for node in ast.walk(self.tree) if isinstance(node, ast.Attribute)}
        for node in ast.walk(self.tree):
            if not isinstance(node, ast.Name) or not isinstance(node.ctx, ast.Load):
                continue
            outer = parents.get(id(node))
            if node.id in names:
                text.replace(node, f"({names[node.id]!r})")
            elif outer is not None and outer.attr in others.get(node.id, {}):
                text.replace(outer, f"({others[node.id][outer.attr]!r})")
            else:
                needed.add(node.id)
        for node in self._imports():
            self._trim(node, names, others, needed, text)
        for statement in self.tree.body:
            match statement:
                case ast.Assign(targets=[ast.Name(id=name)]) if name in names and name.startswith("_"):
                    text.replace(statement, "pass", alone=True)
        return text.changed()

    @staticmethod
    def _trim(
        node: ast.ImportFrom,
        names: Mapping[str, object],
        others: Mapping[str, object],
        needed: set[str],
        text: "_Text",
    ) -> None:
        kept = [
            alias
            for alias in node.names
            if (name := alias.asname or alias.name) in needed or (name not in names and name not in others)
        ]
        if len(kept) < len(node.names):
            node.names = kept
            text.replace(node, ast.unparse(node) if kept else "pass", alone=True)


def _value(node: ast.expr, names: Mapping[str, object]) -> object:
    """What a constant expression comes to, None for any other."""
    for part in ast.walk(node):
        if isinstance(part, ast.Call | ast.Attribute) or (
            isinstance(part, ast.Name) and part.id not in names
        ):
            return None
    try:
        value = eval(compile(ast.Expression(node), "constant", "eval"), {"__builtins__": {}}, dict(names))  # noqa: S307
    except TypeError:
        return None
    items = value if isinstance(value, tuple) else (value,)
    return value if all(_is_plain(item) for item in items) else None


def _is_plain(value: object) -> bool:
    return isinstance(value, str | bytes) or (type(value) is int and abs(value) <= _LARGEST)


class _Text:
    """A source whose parts are replaced, each line staying on its line."""

    def __init__(self, source: bytes) -> None:
        self._source = source
        self._lines = [0]
        for line in source.splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))
        self._changes: list[tuple[int, int, bytes]] = []

    def replace(self, node: ast.expr | ast.stmt, by: str, *, alone: bool = False) -> None:
        """Replace a node by one line and as many empty ones as it takes; `alone` forgets what is replaced within."""
        first = self._lines[node.lineno - 1] + node.col_offset
        last = self._lines[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or node.col_offset)
        lines = self._source.count(b"\n", first, last)
        new = by.encode() + b"\n" * lines
        if alone:
            self._changes = [change for change in self._changes if not first <= change[0] < last]
        self._changes.append((first, last, new))

    def changed(self) -> bytes:
        """Return the source with all that replaced."""
        source = self._source
        for first, last, new in sorted(self._changes, reverse=True):
            source = source[:first] + new + source[last:]
        return source
