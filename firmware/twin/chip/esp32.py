# esp32 of MicroPython 1.28: Partition and NVS. What is native code on the chip lives in the parent.
from _chip import call, read
from micropython import const
from struct import unpack_from

_BLOCK = const(4096)


class Partition:
    BOOT = 0
    RUNNING = 1
    TYPE_APP = 0
    TYPE_DATA = 1

    def __init__(self, id, block_size=_BLOCK):
        # bytes: an entry as the partition table holds it, from find() and get_next_update()
        if isinstance(id, int):
            if id & ~1:
                raise ValueError
            id = call(2, id)
        elif isinstance(id, str):
            id = call(2, 3, 0, 0, id.encode())
        self._entry = id
        self._address, self._size = unpack_from("<II", id, 4)
        self._block = block_size & 0xFFFF

    def __repr__(self):
        return "<Partition type=%u, subtype=%u, address=%u, size=%u, label=%s, encrypted=%u>" % self.info()

    @staticmethod
    def find(type=0, subtype=0xFF, label=None, block_size=_BLOCK):
        found = call(1, type, subtype, label is not None, (label or "").encode())
        return [Partition(found[i : i + 32], block_size) for i in range(0, len(found), 32)]

    def info(self):
        type, subtype, address, size, label, flags = unpack_from("<BBII16sI", self._entry, 2)
        return type, subtype, address, size, str(label.split(b"\0")[0], "utf-8"), bool(flags & 1)

    def readblocks(self, n, buf, off=0):
        off = n * self._block + off & 0xFFFFFFFF
        if off > self._size:
            raise OSError(-258, "ESP_ERR_INVALID_ARG")
        if off + len(buf) > self._size:
            raise OSError(-260, "ESP_ERR_INVALID_SIZE")
        read(self._address, off, buf)

    def writeblocks(self, n, buf, off=None):
        n *= self._block
        if off is None:
            call(3, self._address, n, self._block, buf)
        else:
            call(4, self._address, n + off, 0, buf)

    def ioctl(self, op, arg):
        if op == 4:
            return self._size // self._block
        if op == 5:
            return self._block
        if op == 6:
            return call(5, self._address, arg * _BLOCK, _BLOCK) if self._block == _BLOCK else -22
        return 0 if 0 < op < 4 else None

    def set_boot(self):
        call(6, self._address)

    def get_next_update(self):
        return Partition(call(2, 2, self._address))

    @classmethod
    def mark_app_valid_cancel_rollback(cls):
        call(7)


class NVS:
    def __init__(self, namespace):
        self._space = namespace.encode() + b"\0"
        call(16, 0, 0, 0, self._space)

    def _call(self, op, key, value=b"", a=0):
        return call(op, a, 0, 0, self._space + key.encode() + b"\0" + value)

    def set_i32(self, key, value):
        self._call(17, key, b"", value)

    def get_i32(self, key):
        return self._call(18, key)

    def set_blob(self, key, value):
        self._call(19, key, value)

    def get_blob(self, key, buf):
        value = self._call(20, key, b"", len(buf))
        buf[: len(value)] = value
        return len(value)

    def erase_key(self, key):
        self._call(21, key)

    def commit(self):
        pass
