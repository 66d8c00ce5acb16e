"""A board on a serial port that is not there: a pseudo-terminal that speaks the protocol of Espressif's loaders.

esptool flashes it as it flashes a board. First it answers as the ROM does; when esptool has sent its stub, it answers
as the stub does (it does not run it). Behind it is a NOR flash in RAM, of any size, that can be made to fail: the
package esp32-mock-bootloader has 4 MB that may be written without being erased. Facts: the serial protocol page of
esptool's documentation, and the technical reference manuals for addresses.
"""

import errno
import hashlib
import os
import pty
import select
import struct
import threading
import time
import tty
import zlib
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import NamedTuple, Self

SECTOR = 4096
_SPI_USR = 1 << 18
_JEDEC, _SFDP = 0x9F, 0x5A
_OK, _UNSUPPORTED, _FAILED = b"\0\0", b"\1\5", b"\1\6"


class Chip(NamedTuple):
    """What tells one chip from another on its port."""

    id: int | None
    """`chip_id` of its security information; None for a ROM that does not have it."""
    magic: int
    """What it has at 0x40001000."""
    spi: int
    usr2: int
    w0: int
    clock: int
    """UART0's clock divider register."""
    mac: int
    """Where the fuses with its MAC begin."""

    def revision_bits(self, revision: int) -> dict[int, int]:
        """Registers that tell the chip's revision, major * 100 + minor (the eFuse chapters of the manuals)."""
        major, minor = divmod(revision, 100)
        if self.id is None:
            # Fused one bit after the other; the third is in a date register that newer silicon has another value in.
            return {
                self.mac + 8: (major >= 1) << 15,
                self.mac + 16: (major >= 2) << 20 | minor << 24,
                0x3FF6607C: (major >= 3) << 31,
            }
        return {self.mac + 12: (minor & 7) << 18, self.mac + 20: minor >> 3 << 23 | major << 24}


CHIPS = {
    "esp32": Chip(None, 0x00F01D83, 0x3FF42000, 0x24, 0x80, 0x3FF40014, 0x3FF5A004),
    "esp32s3": Chip(9, 0, 0x60002000, 0x20, 0x58, 0x60000014, 0x60007044),
    "esp32c3": Chip(5, 0, 0x60002000, 0x20, 0x58, 0x60000014, 0x60008844),
}


class NorFlash:
    """Erasing a sector sets its bits, programming clears them. `stuck` lists bytes that no longer take a 0."""

    def __init__(self, megabytes: int) -> None:
        self.data = bytearray(b"\xff" * (megabytes << 20))
        self.stuck: set[int] = set()
        self.touched: list[tuple[str, int, int]] = []
        """Everything that was done to it: "erase" or "write", address, size."""

    def erase(self, address: int, size: int) -> None:
        """Erase the sectors that the range touches. esptool erases nothing, at 0, to leave the stub in order."""
        if not size:
            return
        end = min(-(-(address + size) // SECTOR) * SECTOR, len(self.data))
        self.touched.append(("erase", address, size))
        self.data[address:end] = b"\xff" * (end - address)

    def program(self, address: int, data: bytes) -> None:
        """Clear the bits that are 0 in `data`."""
        self.touched.append(("write", address, len(data)))
        old = int.from_bytes(self.data[address : address + len(data)], "little")
        new = old & int.from_bytes(data, "little")
        self.data[address : address + len(data)] = new.to_bytes(len(data), "little")
        for place in self.stuck:
            if address <= place < address + len(data):
                self.data[place] = 0xFF


class SerialBoard:
    """A context manager; `port` is what a command is given. Closing the port resets the chip."""

    def __init__(self, chip: str = "esp32", megabytes: int = 4, revision: int = 0) -> None:
        self.chip = CHIPS[chip]
        self._fuses = self.chip.revision_bits(revision)
        self.flash = NorFlash(megabytes)
        self.unplug_after: int | None = None
        """Bytes of flash that may still be written before the board falls silent for good."""
        self.silent = False
        """Whether it answers nothing, as a board that is not in its loader."""
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        self.port = os.ttyname(self._slave)
        os.close(self._slave)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._reset()

    def _reset(self) -> None:
        self._stub = False
        self._registers: dict[int, int] = {}
        self._place = 0
        self._inflater: zlib._Decompress | None = None
        self._received = b""

    def _serve(self) -> None:
        while not self._stop.is_set():
            for frame in self._frames():
                if not self.silent and len(frame) >= 8 and frame[0] == 0:
                    self._handle(frame[1], frame[8:])

    def _frames(self) -> Iterator[bytes]:
        """What has come in by now, taken out of its SLIP frames (RFC 1055)."""
        if not select.select([self._master], [], [], 0.1)[0]:
            return
        try:
            self._received += os.read(self._master, 65536)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            # Nobody has the port open. The next one to open it toggles DTR and RTS, which a pseudo-terminal can't show.
            self._reset()
            time.sleep(0.005)
            return
        while (end := self._received.find(b"\xc0", 1)) > 0:
            frame, self._received = self._received[:end], self._received[end:]
            frame = frame.strip(b"\xc0")
            if frame:
                yield frame.replace(b"\xdb\xdc", b"\xc0").replace(b"\xdb\xdd", b"\xdb")

    def _send(self, data: bytes) -> None:
        frame = b"\xc0" + data.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc") + b"\xc0"
        while frame:
            frame = frame[os.write(self._master, frame) :]

    def _answer(self, command: int, data: bytes = b"", status: bytes = _OK, value: int = 0) -> None:
        data += status if self._stub else status.ljust(4, b"\0")
        self._send(struct.pack("<BBHI", 1, command, len(data), value) + data)

    def _handle(self, command: int, data: bytes) -> None:
        handler = _HANDLERS.get(command)
        if handler is None:
            self._answer(command, status=_UNSUPPORTED)
        else:
            handler(self, command, data)

    def _sync(self, command: int, _data: bytes) -> None:
        for _ in range(8):
            self._answer(command, value=0 if self._stub else 0x20120707)

    def _accept(self, command: int, _data: bytes) -> None:
        self._answer(command)

    def _start_stub(self, command: int, _data: bytes) -> None:
        self._answer(command)
        self._stub = True
        self._send(b"OHAI")

    def _read_register(self, command: int, data: bytes) -> None:
        (address,) = struct.unpack("<I", data)
        chip = self.chip
        known = {
            0x40001000: chip.magic,
            chip.clock: 347,  # 40 MHz divided down to 115200 baud
            chip.mac: 0x0A0B0C0D,
            chip.mac + 4: 0x240A,
            **self._fuses,
        }
        if address == chip.spi + chip.w0:
            size = len(self.flash.data).bit_length() - 1
            instruction = self._registers.get(chip.spi + chip.usr2, 0) & 0xFF
            known[address] = {_JEDEC: size << 16 | 0x40EF, _SFDP: 0x50444653}.get(instruction, 0)
        self._answer(command, value=known.get(address, self._registers.get(address, 0)))

    def _write_register(self, command: int, data: bytes) -> None:
        for at in range(0, len(data), 16):
            address, value, _mask, _delay = struct.unpack_from("<IIII", data, at)
            # Whatever the SPI peripheral is told to do is done at once.
            self._registers[address] = value & ~_SPI_USR if address == self.chip.spi else value
        self._answer(command)

    def _security(self, command: int, _data: bytes) -> None:
        if self.chip.id is None:
            self._answer(command, status=_UNSUPPORTED)
        else:
            self._answer(command, struct.pack("<IB7xII", 0, 0, self.chip.id, 0))

    def _begin(self, command: int, data: bytes) -> None:
        size, _blocks, _block, self._place = struct.unpack_from("<IIII", data)
        self._inflater = zlib.decompressobj() if command == 0x10 else None
        self.flash.erase(self._place, size)
        self._answer(command)

    def _data(self, command: int, data: bytes) -> None:
        (size,) = struct.unpack_from("<I", data)
        block = data[16 : 16 + size]
        if self._inflater is not None:
            block = self._inflater.decompress(block)
        if self.unplug_after is not None:
            self.unplug_after -= len(block)
            self.silent = self.unplug_after < 0
        if self.silent:
            return
        self.flash.program(self._place, block)
        self._place += len(block)
        self._answer(command)

    def _md5(self, command: int, data: bytes) -> None:
        address, size = struct.unpack_from("<II", data)
        digest = hashlib.md5(self.flash.data[address : address + size], usedforsecurity=False)
        self._answer(command, digest.digest() if self._stub else digest.hexdigest().encode())

    def _erase_all(self, command: int, _data: bytes) -> None:
        self.flash.erase(0, len(self.flash.data))
        self._answer(command)

    def _erase_region(self, command: int, data: bytes) -> None:
        address, size = struct.unpack_from("<II", data)
        self.flash.erase(address, size)
        self._answer(command)

    def _read(self, command: int, data: bytes) -> None:
        address, size, block, _in_flight = struct.unpack_from("<IIII", data)
        self._answer(command)
        content = bytes(self.flash.data[address : address + size])
        for at in range(0, size, block):
            # The other side acknowledges each piece; the terminal holds back what it has not taken yet.
            self._send(content[at : at + block])
        self._send(hashlib.md5(content, usedforsecurity=False).digest())

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(5)
        os.close(self._master)


_HANDLERS: Mapping[int, Callable[[SerialBoard, int, bytes], None]] = {
    0x02: SerialBoard._begin,
    0x03: SerialBoard._data,
    0x04: SerialBoard._accept,
    0x05: SerialBoard._accept,
    0x06: SerialBoard._start_stub,
    0x07: SerialBoard._accept,
    0x08: SerialBoard._sync,
    0x09: SerialBoard._write_register,
    0x0A: SerialBoard._read_register,
    0x0B: SerialBoard._accept,
    0x0D: SerialBoard._accept,
    0x0F: SerialBoard._accept,
    0x10: SerialBoard._begin,
    0x11: SerialBoard._data,
    0x12: SerialBoard._accept,
    0x13: SerialBoard._md5,
    0x14: SerialBoard._security,
    0xD0: SerialBoard._erase_all,
    0xD1: SerialBoard._erase_region,
    0xD2: SerialBoard._read,
}
