"""Delivery `store`: contents that a broker holds as retained messages (docs/protocol.md, section 8.2).

Chunks are put before the index pages that lead devices to them, and taken away after them. What is put is read
back, byte for byte. A content can also be checked without its image: the index says what each chunk must be, and the
content's name is a digest over all payloads.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from agent.protocol import index, limits
from agent.protocol.checks import is_name
from agent.protocol.host import topics
from agent.protocol.host.signing import content_name
from agent.protocol.manifest import DEFLATE, RAW
from broker_tools.content import Content, inflate
from broker_tools.errors import OtafleetError
from broker_tools.retained import Message, Retained

ROUNDS = 3
"""How often at most what is missing is put: a broker that restarts meanwhile may forget what it had just taken."""
SHOWN_MAX = 3
"""Topics that a message names; of others it gives the number."""
CHUNKS_MAX = limits.PAGES_MAX * limits.INDEX_PAGE

Manifest = Mapping[str, Any]
"""The payload of a manifest: what was signed of a content."""


@dataclass(frozen=True, slots=True)
class Held:
    """What a broker holds of a content.

    present, expected -- chunks that are right, and chunks in all (None: there is no index that would say so)
    size -- bytes of all payloads that are there, index pages included
    missing, wrong -- the ends of topics: an offset, or index/<page>
    named -- whether the payloads are those that the content is named after; None: not all are there
    """

    project: str
    content: str
    present: int
    expected: int | None
    size: int
    missing: tuple[str, ...]
    wrong: tuple[str, ...]
    named: bool | None

    @property
    def whole(self) -> bool:
        """Whether a device can fetch all of it."""
        return self.expected is not None and not self.missing and not self.wrong and bool(self.named)

    @property
    def fault(self) -> str:
        """What is wrong, for a person; "" when nothing is."""
        if not self.size:
            return "the broker holds nothing of it"
        faults = [f"{len(ends)} {what} ({_some(ends)})" for ends, what in self._faulty if ends]
        if not faults and self.named is False:
            return "its bytes are not those that it is named after"
        return ", ".join(faults)

    @property
    def _faulty(self) -> tuple[tuple[tuple[str, ...], str], ...]:
        return (self.missing, "missing"), (self.wrong, "wrong")


class BrokerStore:
    """The contents under one prefix of one broker."""

    def __init__(self, retained: Retained, prefix: str) -> None:
        """Use `retained` for all reading and writing."""
        self._retained = retained
        self._prefix = prefix

    def put(self, project: str, form: Content, show: Callable[[int, int], None] | None = None) -> bool:
        """Put a content, or what is missing of it, and read it back; False when it was wholly there before.

        `show` is called with the messages that the broker has taken, and all there are. Raises OtafleetError when the
        broker does not keep them.
        """
        messages = self._messages(project, form)
        left = self._differing(messages, twice=False)
        if not left:
            return False
        for _ in range(ROUNDS):
            breaks = self._retained.breaks
            for done in self._retained.write(left):
                if show:
                    show(len(messages) - len(left) + done, len(messages))
            left = self._differing(messages, twice=True)
            if not left:
                return True
            if breaks == self._retained.breaks:
                break
        start = f"{self._prefix}/images/{project}/{form.name}/"
        gone = _some([name.removeprefix(start) for name, _ in left])
        kept = len(messages) - len(left)
        message = (
            f"the broker at {self._retained.broker} took all {len(messages)} messages of content {form.name}"
        )
        message += f", but keeps {kept} of them (not {gone})"
        advice = "check its access rules, and its limits for retained messages and message size"
        raise OtafleetError(f"{message}: {advice}")

    def remove(self, project: str, content: str, manifest: Manifest | None = None) -> None:
        """Remove a content, its index first; without its manifest every topic that a content may have.

        Raises OtafleetError when something stays.
        """
        count = index.chunks(manifest["component"]["size"]) if manifest else CHUNKS_MAX
        names = [self._page(project, content, page) for page in range(limits.PAGES_MAX)]
        # The first chunk goes last: a removal that was interrupted is found by it.
        names += [self._chunk(project, content, chunk) for chunk in reversed(range(count))]
        for _ in self._retained.write([(name, b"") for name in names]):
            pass
        for _, found in self._retained.read(names, len(names), twice=False):
            if found:
                where = f"the broker at {self._retained.broker}"
                message = f"{where} still holds {len(found)} messages of content {content}"
                raise OtafleetError(f"{message}: check its access rules")

    def verify(self, project: str, content: str, manifest: Manifest | None = None) -> Held:
        """Read a whole content and compare it with its index, its name and, if given, what was signed of it."""
        pages = self._read_pages(project, content, manifest)
        entries, missing, wrong = _entries(pages, manifest)
        payloads = self._read_chunks(project, content, len(entries) if pages else None)
        for number, payload in enumerate(payloads):
            if payload is None:
                missing.append(str(number * limits.CHUNK))
            elif pages and not _agrees(payload, entries[number]):
                wrong.append(str(number * limits.CHUNK))
        there = [payload for payload in payloads if payload is not None]
        encodings = (manifest["encoding"],) if manifest else (RAW, DEFLATE)
        named = any(content_name(encoding, there) == content for encoding in encodings)
        return Held(
            project=project,
            content=content,
            present=len(there) - sum(not end.startswith("index") for end in wrong),
            expected=len(entries) if pages else None,
            size=sum(map(len, there)) + sum(len(page) for page in pages if page),
            missing=tuple(missing if pages else ["index/0", *missing]),
            wrong=tuple(wrong),
            named=named if pages and len(there) == len(payloads) else None,
        )

    def find(self, known: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        """Return (project, content) of what the broker holds, or has a part of.

        A wildcard over first chunks and first index pages finds most; brokers that replay little or nothing to one are
        asked for what is `known`.
        """
        start = f"{self._prefix}/images/"
        found = self._retained.find([f"{start}+/+/0", f"{start}+/+/index/0"])
        left = [pair for pair in known if not {self._chunk(*pair, 0), self._page(*pair, 0)} & set(found)]
        names = [name for pair in left for name in (self._page(*pair, 0), self._chunk(*pair, 0))]
        for _, there in self._retained.read(names, twice=False):
            found |= there
        pairs = set()
        for name in found:
            project, _, rest = name.removeprefix(start).partition("/")
            parsed = topics.parse_content(rest)
            if parsed and is_name(project):
                pairs.add((project, parsed[0]))
        return sorted(pairs)

    # -- reading -----------------------------------------------------------------------------------------------

    def _differing(self, messages: Sequence[Message], *, twice: bool) -> list[Message]:
        """What the broker does not hold as it should be; not `twice`: from the first absent window on, all of it."""
        expected = dict(messages)
        bad: list[Message] = []
        seen = 0
        for asked, found in self._retained.read(list(expected), twice=twice):
            bad += [(name, expected[name]) for name in asked if found.get(name) != expected[name]]
            seen += len(asked)
            if not found and not twice:
                break
        return bad + list(messages[seen:])

    def _read_pages(self, project: str, content: str, manifest: Manifest | None) -> list[bytes | None]:
        """Return the index pages; without the manifest those up to the first one that is not full."""
        count = len(manifest["index"]) if manifest else limits.PAGES_MAX
        pages: list[bytes | None] = []
        names = [self._page(project, content, page) for page in range(count)]
        for asked, found in self._retained.read(names, 1):
            pages += [found.get(name) for name in asked]
            if not manifest and len(pages[-1] or b"") != limits.CHUNK:
                break
        while pages and not manifest and pages[-1] is None:
            pages.pop()
        return pages

    def _read_chunks(self, project: str, content: str, count: int | None) -> list[bytes | None]:
        """Return the payloads of `count` chunks; None: up to the first window in which there is none."""
        names = [
            self._chunk(project, content, chunk) for chunk in range(CHUNKS_MAX if count is None else count)
        ]
        payloads: list[bytes | None] = []
        for asked, found in self._retained.read(names, twice=count is not None):
            if count is None and not found:
                break
            payloads += [found.get(name) for name in asked]
        while payloads and count is None and payloads[-1] is None:
            payloads.pop()
        return payloads

    # -- topics ------------------------------------------------------------------------------------------------

    def _messages(self, project: str, form: Content) -> list[Message]:
        chunks = [(self._chunk(project, form.name, i), payload) for i, payload in enumerate(form.payloads)]
        return chunks + [(self._page(project, form.name, i), page) for i, page in enumerate(form.pages)]

    def _chunk(self, project: str, content: str, number: int) -> str:
        return topics.image_chunk(self._prefix, project, content, number * limits.CHUNK)

    def _page(self, project: str, content: str, number: int) -> str:
        return topics.image_page(self._prefix, project, content, number)


def _entries(
    pages: Sequence[bytes | None], manifest: Manifest | None
) -> tuple[list[bytes | None], list[str], list[str]]:
    """Return the index entry of each chunk (None: not known), and the ends of missing and of wrong pages."""
    entries: list[bytes | None] = []
    missing: list[str] = []
    wrong: list[str] = []
    for number, page in enumerate(pages):
        if manifest:
            count = index.page_entries(manifest["component"]["size"], number)
        elif page is None or number + 1 < len(pages):
            count = limits.INDEX_PAGE
        else:
            count = min(len(page) // limits.INDEX_ENTRY, limits.INDEX_PAGE)
        if page is not None and _is_page(page, count, manifest["index"][number] if manifest else None):
            entries += [page[at : at + limits.INDEX_ENTRY] for at in range(0, len(page), limits.INDEX_ENTRY)]
            continue
        (missing if page is None else wrong).append(f"index/{number}")
        entries += [None] * count
    return entries, missing, wrong


def _is_page(page: bytes, count: int, digest: str | None) -> bool:
    """Whether an index page has `count` whole entries and, if known, this SHA-256."""
    fits = len(page) == count * limits.INDEX_ENTRY
    return fits and (digest is None or sha256(page).hexdigest() == digest)


def _agrees(payload: bytes, entry: bytes | None) -> bool:
    """Whether a payload, as it is or inflated, is the chunk of this index entry; None: nobody can tell."""
    if entry is None or index.entry(payload) == entry:
        return True
    chunk = inflate(payload)
    return chunk is not None and index.entry(chunk) == entry


def _some(ends: Sequence[str]) -> str:
    shown = ", ".join(ends[:SHOWN_MAX])
    return shown if len(ends) <= SHOWN_MAX else f"{shown} and {len(ends) - SHOWN_MAX} more"
