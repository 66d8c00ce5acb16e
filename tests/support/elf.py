"""Write ELF files that esptool turns into app images: sections at addresses of a chip, no code that would run."""

import struct
from collections.abc import Sequence
from typing import NamedTuple

XTENSA = 0x5E
RISCV = 0xF3

_HEADER = struct.Struct("<16sHHLLLLLHHHHHH")
_SECTION = struct.Struct("<LLLLLLLLLL")
_EXECUTABLE = 2
_PROGBITS = 1
_STRTAB = 3
_ALLOC = 2


class Section(NamedTuple):
    """One section with data that is loaded or mapped at `address`."""

    name: str
    address: int
    data: bytes


def elf(machine: int, entry: int, sections: Sequence[Section]) -> bytes:
    """Build a 32-bit little-endian executable with a section table (System V ABI, chapter 4), no program headers."""
    names = b"\0"
    table = [_SECTION.pack(*[0] * 10)]
    body = b""
    for section in sections:
        offset = _HEADER.size + len(body)
        table.append(
            _SECTION.pack(
                len(names), _PROGBITS, _ALLOC, section.address, offset, len(section.data), 0, 0, 4, 0
            )
        )
        names += section.name.encode() + b"\0"
        body += section.data + bytes(-len(section.data) % 4)
    name = len(names)
    names += b".shstrtab\0"
    table.append(_SECTION.pack(name, _STRTAB, 0, 0, _HEADER.size + len(body), len(names), 0, 0, 1, 0))
    body += names + bytes(-len(names) % 4)
    header = _HEADER.pack(
        b"\x7fELF\x01\x01\x01".ljust(16, b"\0"),
        _EXECUTABLE,
        machine,
        1,
        entry,
        0,
        _HEADER.size + len(body),
        0,
        _HEADER.size,
        0,
        0,
        _SECTION.size,
        len(table),
        len(table) - 1,
    )
    return header + body + b"".join(table)
