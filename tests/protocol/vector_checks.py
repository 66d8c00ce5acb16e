"""What the golden vectors demand, in the MicroPython subset: the same file runs on CPython and on the device's runtime.

Each check takes a parsed vector file and yields one line per vector that does not hold. Run as a program on
MicroPython it prints these lines for the files it is given.
"""

import json
import sys
from binascii import hexlify, unhexlify

from agent.protocol import index, manifest, offer
from agent.protocol.errors import ProtocolError
from agent.protocol.host import reports, signing, topics, wants

DECODERS = {
    "offer": offer.decode,
    "manifest": manifest.decode,
    "want": wants.decode,
    "state": reports.decode_state,
    "ack": reports.decode_ack,
    "online": reports.decode_online,
}


def payload_of(row):
    once = row["text"].encode() if "text" in row else unhexlify(row["hex"])
    return once * row.get("times", 1)


def verdict(decode, argument):
    """What became of it: ("ok", value) or (reason, n). Anything but a ProtocolError is let through."""
    try:
        return "ok", decode(argument)
    except ProtocolError as error:
        return error.reason, error.n


def check_messages(document):
    decode = DECODERS[document["kind"]]
    for row in document["good"]:
        found = verdict(decode, payload_of(row))
        if found != ("ok", row["value"]):
            yield f"{row['name']}: {found}"
    for row in document["bad"]:
        found = verdict(decode, payload_of(row))
        if found != (row["reason"], row.get("n")) and not (row.get("lenient") and found[0] == "ok"):
            yield f"{row['name']}: {found}"


def check_jws(document):
    for row in document["good"]:
        kid, signed, signature, payload = manifest.split(row["jws"])
        parts = (kid, str(signed, "ascii"), str(hexlify(signature), "ascii"), str(hexlify(payload), "ascii"))
        if parts != (row["kid"], row["signing_input"], row["signature"], row["payload"]):
            yield f"{row['name']}: {parts}"
        if signing.compact(signed, signature) != row["jws"]:
            yield f"{row['name']}: put together again differently"
    for row in document["bad"]:
        found = verdict(manifest.split, row["jws"] * row.get("times", 1))
        if found != (row["reason"], None):
            yield f"{row['name']}: {found}"


def check_index(document):
    for row in document["sizes"]:
        size = row["size"]
        chunks, pages = index.chunks(size), index.pages(size)
        found = {
            "size": size,
            "chunks": chunks,
            "pages": pages,
            "entries": [index.page_entries(size, page) for page in range(pages + 1)],
            "first": index.chunk_length(size, 0),
            "last": index.chunk_length(size, chunks - 1),
            "beyond": index.chunk_length(size, chunks),
        }
        if found != row:
            yield f"size {size}: {found}"
    for row in document["entries"]:
        entry = index.entry(payload_of(row))
        if hexlify(entry) != row["entry"].encode():
            yield f"{row['name']}: {entry}"
    for row in document["contents"]:
        name = signing.content_name(row["encoding"], [unhexlify(payload) for payload in row["payloads"]])
        if name != row["content"]:
            yield f"{row['name']}: {name}"


def check_topics(document):
    for function, arguments, expected in document["calls"]:
        found = getattr(topics, function)(*arguments)
        if (list(found) if isinstance(found, tuple) else found) != expected:
            yield f"{function}{arguments}: {found}"
    for function, argument in document["refused"]:
        found = verdict(getattr(topics, function), argument)
        if found != ("bad_name", None):
            yield f"{function}({argument}): {found}"


def check_example(document):
    for step in document["steps"]:
        leaf = step["topic"].split("/")[-1]
        decode = {"desired": offer.decode, "want": wants.decode, "online": reports.decode_online}.get(leaf)
        decode = decode or {"state": reports.decode_state, "ack": reports.decode_ack}.get(leaf)
        if decode:
            found = verdict(decode, step["text"].encode())
            if found[0] != "ok":
                yield f"{step['say']}: {found}"
        elif not topics.parse_content(step["topic"].split("/chunk/")[1]):
            yield step["topic"]
    kid, _, _, payload = manifest.split(document["jws"])
    if (kid, payload) != (document["key"]["kid"], document["payload"].encode()):
        yield "kid or payload"
    if signing.encode_payload(json.loads(document["payload"])) != payload:
        yield "the payload is not canonical"
    signing_input = signing.signing_input(signing.jws_header(kid), payload)
    if signing.compact(signing_input, unhexlify(document["signature"])) != document["jws"]:
        yield "jws"
    if verdict(offer.decode, document["withdrawal"].encode())[0] != "ok":
        yield "withdrawal"


OTHERS = {"jws": check_jws, "index": check_index, "topics": check_topics, "example": check_example}


def failures(document):
    """All lines for one parsed vector file."""
    return list(OTHERS.get(document["kind"], check_messages)(document))


if __name__ == "__main__":
    for path in sys.argv[1:]:
        with open(path) as file:  # noqa: PTH123 - MicroPython has no pathlib
            for line in failures(json.load(file)):
                print(line)  # noqa: T201 - what this program says
