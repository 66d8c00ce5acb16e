"""Bringing the target slot to what the signed index says, chunk by chunk. The flash is the journal.

Theory of operation. For each index page: ask for it, check it against the manifest, read the slot and note which
chunks already are what they should be, ask for the others in windows, check each against its index entry before it
touches the flash, and write it: one erase and one program of one sector. After a reset the same walk finds what is
there. `run()` is the generator that asks; `page()` and `chunk()` take what arrives.
"""

from binascii import unhexlify
from hashlib import sha256
from time import ticks_ms

from .protocol import index
from .protocol.limits import CHUNK, INDEX_ENTRY, INDEX_PAGE, WINDOW_FIRST
from .window import Window


class Download:
    """One slot on its way to one manifest. `done` and `total` count chunks; `stalled` says that nobody answers.

    `ask(chunks, pages)` sends a want and is only called while `may_ask()` is true. `buffer` takes one index page.
    """

    def __init__(self, manifest, slot, buffer, may_ask, ask):
        image = manifest["component"]
        self.size = image["size"]
        self.total = index.chunks(self.size)
        self.done = 0
        self.stalled = False
        self._digests = manifest["index"]
        self._slot = slot
        self._may_ask = may_ask
        self._ask = ask
        self._handle = None
        self._number = -1  # of the page being worked on
        self._entries = buffer
        self._here = False  # whether that page is in `_entries`
        self._missing = bytearray(INDEX_PAGE // 8)  # one bit per chunk of the page
        self._left = 0  # bits set
        self._window = None
        self._cut = False  # the connection went while wants were out

    def run(self):
        """Generator: returns when every chunk of the slot agrees with the index. Raises OSError from the flash."""
        self.done = 0
        self._slot.forget()
        size = WINDOW_FIRST
        for number in range(index.pages(self.size)):
            self._number = number
            self._here = False
            self._window = Window(number, number + 1, self._needs_page, ticks_ms())
            yield from self._fetch(self._needs_page, self._ask_pages)
            yield from self._scan()
            first = number * INDEX_PAGE
            last = first + index.page_entries(self.size, number)
            self._window = Window(first, last, self._needs, ticks_ms(), size)
            yield from self._fetch(self._needs_any, self._ask_chunks)
            size = self._window.size
        self._window = None

    def abort(self):
        """Give up; what has been written stays in the slot and is found again."""
        if self._handle:
            self._slot.partition.ota_abort(self._handle)
            self._handle = None

    def _open(self):
        if not self._handle:
            self._handle = self._slot.partition.ota_resume(self.size)
        return self._handle

    def _fetch(self, missing, ask):
        """Generator: ask, and ask again, until nothing is `missing()`."""
        while missing():
            now = ticks_ms()
            if not self._may_ask():
                self._cut = True
            elif self._cut:
                self.wake()
            else:
                self.stalled = self._window.silent(now)
                asked = self._window.ask(now)
                if asked:
                    ask(asked)
            yield True

    def wake(self):
        """Ask anew for everything: the connection that carried the wants is gone, or the host has come back."""
        self._cut = False
        if self._window:
            self._window.repeat(ticks_ms())

    def _ask_pages(self, numbers):
        self._ask([], numbers)

    def _ask_chunks(self, chunks):
        self._ask(chunks, [])

    def _needs_any(self):
        return self._left

    def _needs_page(self, _number=0):
        return not self._here

    def _needs(self, chunk):
        bit = chunk % INDEX_PAGE
        return self._missing[bit >> 3] >> (bit & 7) & 1

    def _entry(self, chunk):
        at = chunk % INDEX_PAGE * INDEX_ENTRY
        return self._entries[at : at + INDEX_ENTRY]

    def _scan(self):
        """Generator: mark the chunks of the page that the slot does not hold, one sector a step."""
        first = self._number * INDEX_PAGE
        for bit in range(index.page_entries(self.size, self._number)):
            chunk = first + bit
            found = self._slot.entry(chunk * CHUNK, index.chunk_length(self.size, chunk))
            if found == self._entry(chunk):
                self.done += 1
            else:
                self._missing[bit >> 3] |= 1 << (bit & 7)
                self._left += 1
            yield

    def alive(self):
        """Some bytes of a message have come."""
        if self._window:
            self._window.alive(ticks_ms())

    def page(self, number, payload):
        """An index page has come. Returns whether it was needed; one that is not what the manifest says is ignored."""
        if number == self._number and not self._here and len(payload) <= len(self._entries):
            if sha256(payload).digest() == unhexlify(self._digests[number]):
                self._entries[: len(payload)] = payload
                self._here = True
                self._window.arrived(number, ticks_ms())
                return True
            self._window.spoiled(number)
        return False

    def chunk(self, offset, payload):
        """A chunk has come. Returns whether it was needed and is now in flash.

        What is not needed, has the wrong length or does not agree with the index is ignored: it will be asked for
        again. Raises OSError from the flash.
        """
        chunk, rest = divmod(offset, CHUNK)
        if rest or not self._here or chunk // INDEX_PAGE != self._number or not self._needs(chunk):
            return False
        if len(payload) != index.chunk_length(self.size, chunk) or index.entry(payload) != self._entry(chunk):
            self._window.spoiled(chunk)
            return False
        self._slot.partition.ota_write_with_offset(self._open(), payload, offset)
        bit = chunk % INDEX_PAGE
        self._missing[bit >> 3] &= ~(1 << (bit & 7))
        self._left -= 1
        self.done += 1
        self._window.arrived(chunk, ticks_ms())
        return True
