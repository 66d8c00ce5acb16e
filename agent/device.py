"""What this device is: its slots as the flash has them, its chip, its floor, its clock."""

from binascii import unhexlify
from hashlib import sha256
from time import gmtime, time

from .esp32_ota import Partition
from .protocol.checks import is_version
from .protocol.limits import CHUNK, INDEX_ENTRY
from .protocol.phases import APP_STATES

try:
    from _otafleet import sha256 as _digest_of  # our C module, in firmware that has it
except ImportError:
    _digest_of = None

_SOME_DAY = 1_704_067_200  # 2024-01-01: an earlier clock has not been set
_EPOCH = (
    946_684_800 if gmtime(0)[0] == 2000 else 0
)  # MicroPython counts from 2000 on the ESP32, from 1970 on a PC

# Of app_elf_sha256 in an image: behind two headers of 24 and 8 bytes and 144 bytes of the descriptor (esp_app_desc.h).
_ELF_SHA256_AT = 176

_scratch = memoryview(
    bytearray(1024)
)  # four reads a sector cost little, three kilobytes of a small heap cost more


class Slot:
    """One app partition. `sha256` (of the first `size` bytes) and `version` are known after `survey()`."""

    def __init__(self, partition):
        self.partition = partition
        _, _, self.address, self.capacity, self.label, _ = partition.info()
        self.forget()

    def forget(self):
        """The slot is about to be written: what was known of it no longer holds."""
        self.sha256 = b""
        self.size = 0
        self.version = ""

    def state(self):
        """ESP-IDF's name of the slot's state; UNDEFINED where otadata has no record of it."""
        try:
            return APP_STATES[self.partition.app_state()]
        except OSError:
            return "UNDEFINED"

    def read(self, offset, length):
        """`length` bytes, at most 1024; fewer beyond the end. A view that the next read() of any slot overwrites."""
        data = _scratch[: max(0, min(length, self.capacity - offset))]
        if len(data):
            self.partition.readblocks(offset // CHUNK, data, offset % CHUNK)
        return data

    def _hash(self, total, offset, end):
        """Feed the bytes from `offset` to `end` to the hash `total`."""
        while offset < end:
            part = self.read(offset, min(len(_scratch), end - offset))
            total.update(part)
            offset += len(part)

    def entry(self, offset, length):
        """What the index would say of the `length` bytes at `offset`."""
        total = sha256()
        self._hash(total, offset, offset + length)
        return total.digest()[:INDEX_ENTRY]

    def digest(self, size):
        """Generator: SHA-256 over the first `size` bytes as read from flash, one sector a step; in C one step."""
        if _digest_of:
            yield
            return _digest_of(self.address, size)
        total = sha256()
        for offset in range(0, size, CHUNK):
            self._hash(total, offset, min(offset + CHUNK, size))
            yield
        return total.digest()

    def survey(self):
        """Generator: find out which image the slot holds."""
        from .esp32_ota import image

        self.forget()
        try:
            version = image.descriptor(self.read)[1]
            size = image.length(self.read)
        except (image.ImageError, OSError):
            return
        if size > self.capacity:
            return
        self.version = version if is_version(version) else ""
        digest = yield from self.digest(size)
        self.sha256 = digest
        self.size = size

    def holds(self, component):
        """Generator: whether the slot's first bytes are the image of this manifest component.

        The ELF digest only ever says no: it spares the hashing of slots that hold something else.
        """
        if bytes(self.read(_ELF_SHA256_AT, 32)) != unhexlify(component["app_elf_sha256"]):
            return False
        if component["size"] > self.capacity:
            return False
        digest = yield from self.digest(component["size"])
        return digest == unhexlify(component["sha256"])

    def seal(self, size):
        """Generator: ESP-IDF's begin and end over what the slot holds. Raises OSError when it is no image that boots.

        Needed before every set_boot, also when nothing was fetched: begin takes away the slot's old record in
        otadata. With that record still there, set_boot of ESP-IDF 5.5 would overwrite the running slot's instead.
        """
        handle = self.partition.ota_resume(size)
        for done, _ in enumerate(self.partition.end_steps(handle, _scratch), 1):
            if not done % (CHUNK // len(_scratch)):  # a sector at a time, like all that is read
                yield


class Device:
    """The facts that the rules and the reports ask for. `target` is None where the table has no second OTA slot."""

    def __init__(self, config, journal):
        self.config = config
        self.journal = journal
        self.project = config.project
        self.hardware = config.hardware
        self.running = Slot(Partition(Partition.RUNNING))
        from .esp32_ota import image

        self.chip = image.header(self.running.read)["chip"]
        try:
            self.target = Slot(self.running.partition.get_next_update())
            if self.target.address == self.running.address:
                self.target = None
        except OSError:
            self.target = None

    @property
    def slot_size(self):
        return self.target.capacity if self.target else 0

    @property
    def floor(self):
        return max(self.journal.floor(), self.config.floor)

    @property
    def now(self):
        """Unix seconds: the later of the clock, if it has been set, and the latest signing time verified."""
        return max(clock(), self.journal.issued())

    def quarantined(self, digest):
        return self.journal.quarantined(digest)

    def switched(self):
        """Whether the boot loader runs the slot that otadata names: BOOT equals RUNNING."""
        return Partition(Partition.BOOT).info()[2] == self.running.address


def clock():
    """Unix seconds, 0 while the clock has not been set."""
    now = int(time()) + _EPOCH
    return now if now > _SOME_DAY else 0
