"""Bringing the target slot to what the signed index says, chunk by chunk. The flash is the journal.

Theory of operation. For each index page: ask for it, check it against the manifest, read the slot and note which
chunks already are what they should be, ask for the others in windows, check each against its index entry before it
touches the flash, and write it: one erase and one program of one sector. After a reset the same walk finds what is
there. `run()` is the generator that asks; `page()` and `chunk()` take what arrives.
"""

from binascii import unhexlify
from hashlib import sha256
from time import ticks_add, ticks_diff, ticks_ms

from .backoff import jitter
from .protocol import index, reasons
from .protocol.limits import CHUNK, INDEX_ENTRY, INDEX_PAGE, STALLED_S, WINDOW_FIRST
from .window import Window


class Download:
    """One slot on its way to one manifest. `done`, `total` and `found` (in the slot already) count chunks.

    `sources` are tried in their order, and asked only while `may_ask()` is true; `source` is the present one, None
    when all is over. `stalled` says that none of them answers, and `reason` why. `page` takes one index page;
    `spare`, as long as a chunk, is there where chunks may come deflated, and None elsewhere.
    """

    def __init__(self, manifest, slot, page, sources, may_ask, spare=None):
        image = manifest["component"]
        self.size = image["size"]
        self.total = index.chunks(self.size)
        self.done = 0
        self.found = 0
        self.stalled = False
        self.reason = reasons.NO_ANSWER
        self.source = sources[0]
        self._sources = sources
        self._again = None  # when the next round over all sources begins, once stalled
        self._digests = manifest["index"]
        self._slot = slot
        self._may_ask = may_ask
        self._handle = None
        self._number = -1  # of the page being worked on
        self._entries = page
        self._spare = spare
        self._here = False  # whether that page is in `_entries`
        self._missing = bytearray(INDEX_PAGE // 8)  # one bit per chunk of the page
        self._left = 0  # bits set
        self._window = None
        self._cut = False  # the connection went while wants were out

    def run(self):
        """Generator: returns when every chunk of the slot agrees with the index. Raises OSError from the flash."""
        self._slot.forget()
        self.source.open()
        size = WINDOW_FIRST
        for number in range(index.pages(self.size)):
            self._number = number
            self._here = False
            self._window = Window(number, number + 1, self._needs_page, ticks_ms())
            yield from self._fetch(self._needs_page, self._ask_pages)
            yield from self._scan()
            if self._left:
                self._open()  # a step of its own: it erases what otadata records of the slot
                yield
            first = number * INDEX_PAGE
            last = first + index.page_entries(self.size, number)
            self._window = Window(first, last, self._needs, ticks_ms(), size)
            yield from self._fetch(self._needs_any, self._ask_chunks)
            size = self._window.size
        self._window = None

    def end(self):
        """Let go of the source and the flash; what has been written stays in the slot and is found again."""
        if self.source:
            self.source.close()
            self.source = None
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
            elif self.source.refused or self._window.silent(now):
                self._give_way(now)
            else:
                asked = self._window.ask(now)
                if asked:
                    ask(asked)
            yield True

    def _give_way(self, now):
        """The present source is of no use: on to the next. After the last one rests a while, then begins anew."""
        self.reason = self.source.refused or self.reason
        at = self._sources.index(self.source) + 1
        if at == len(self._sources):
            at = 0
            if self._again is None:
                self.stalled = True
                self._again = ticks_add(now, jitter(STALLED_S * 1000))
            if ticks_diff(now, self._again) < 0:
                return
        self._turn_to(self._sources[at])

    def _turn_to(self, source):
        self._again = None
        self.source.close()
        self.source = source
        source.open()
        self._window.restart(ticks_ms())

    def reopen(self):
        """There is a new connection to the broker."""
        if self.source:
            self.source.open()

    def wake(self):
        """Ask anew for everything: the connection that carried the wants is gone, or the host has come back."""
        self._cut = False
        if self._window:
            if self.stalled:
                self._turn_to(self._sources[0])
            else:
                self._window.repeat(ticks_ms())

    def _ask_pages(self, numbers):
        self.source.ask([], numbers)

    def _ask_chunks(self, chunks):
        self.source.ask(chunks, [])

    def _needs_any(self):
        return self._left

    def _needs_page(self, _number=0):
        return not self._here

    def _needs(self, chunk):
        bit = chunk % INDEX_PAGE
        return self._missing[bit >> 3] >> (bit & 7) & 1

    def _agrees(self, digest, chunk):
        """Whether this SHA-256, or what the index has of it, is that of `chunk`. No slices: they cost heap."""
        at = chunk % INDEX_PAGE * INDEX_ENTRY
        for i in range(INDEX_ENTRY):
            if digest[i] != self._entries[at + i]:
                return False
        return True

    def _scan(self):
        """Generator: mark the chunks of the page that the slot does not hold, one sector a step."""
        first = self._number * INDEX_PAGE
        for bit in range(index.page_entries(self.size, self._number)):
            chunk = first + bit
            found = self._slot.entry(chunk * CHUNK, index.chunk_length(self.size, chunk))
            if self._agrees(found, chunk):
                self.done += 1
                self.found += 1
            else:
                self._missing[bit >> 3] |= 1 << (bit & 7)
                self._left += 1
            yield

    def alive(self):
        """Some bytes of a message have come."""
        if self._window:
            self._window.alive(ticks_ms())

    def receive(self, address, payload):
        """What the source has delivered for `address`, "<offset>" or "index/<page>". Returns whether it was needed.

        What was not asked for, is there already or is not what was signed is ignored. Raises OSError from the flash.
        """
        try:
            if address.startswith("index/"):
                needed = self._page(int(address[6:]), payload)
            else:
                needed = self._chunk(int(address), payload)
        except ValueError:
            return False
        if needed:
            self.stalled = False
            self.reason = reasons.NO_ANSWER
            self._again = None
        return needed

    def _page(self, number, payload):
        if number != self._number or self._here or len(payload) > len(self._entries):
            return False
        if sha256(payload).digest() != unhexlify(self._digests[number]):
            self.reason = reasons.BAD_INDEX
            self._window.spoiled(number)
            return False
        self._entries[: len(payload)] = payload
        self._here = True
        self._window.arrived(number, ticks_ms())
        return True

    def _chunk(self, offset, payload):
        """Check, and write: one erase and one program of one sector."""
        chunk = offset // CHUNK
        if offset % CHUNK or not self._here or chunk // INDEX_PAGE != self._number or not self._needs(chunk):
            return False
        data = self._plain(payload, index.chunk_length(self.size, chunk))
        if not data or not self._agrees(sha256(data).digest(), chunk):
            self._window.spoiled(chunk)
            return False
        self._slot.partition.ota_write_with_offset(self._open(), data, offset)
        bit = chunk % INDEX_PAGE
        self._missing[bit >> 3] &= ~(1 << (bit & 7))
        self._left -= 1
        self.done += 1
        self._window.arrived(chunk, ticks_ms())
        return True

    def _plain(self, payload, length):
        """The chunk of `length` bytes that `payload` stands for, or None."""
        if len(payload) == length:
            return payload
        if self._spare and len(payload) < length:
            from .inflate import inflate  # not before it is needed: most contents of a small heap come raw

            view = memoryview(self._spare)[:length]
            if inflate(payload, view):
                return view
        return None
