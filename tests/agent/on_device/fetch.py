"""Fetches from a web server with agent/web.py and prints what came, as one line of JSON.

Arguments: URL, size of the image, CA file or "", JSON of {"asks": [[chunks, pages], ...], "patience": ms}. Each ask
goes out when all that was asked before has come; when nothing comes for `patience` it is repeated, up to `tries`.
"""

import json
import sys
from binascii import hexlify
from hashlib import sha256
from time import sleep_ms, ticks_diff, ticks_ms

from agent import web
from agent.protocol.limits import CHUNK


def main(url, size, cafile, plan):
    web.CONNECT_TIMEOUT_MS = plan.get("connect", web.CONNECT_TIMEOUT_MS)
    source = web.Web(url, int(size), bytearray(CHUNK), cafile or None)
    source.open()
    came = []
    told = {"connects": 0, "fresh": 0, "took": 0, "vain": 0}
    for chunks, pages in plan["asks"]:
        outstanding = [str(chunk * CHUNK) for chunk in chunks] + ["index/%d" % page for page in pages]
        for _ in range(plan.get("tries", 1)):
            source.ask(
                [chunk for chunk in chunks if str(chunk * CHUNK) in outstanding],
                [page for page in pages if "index/%d" % page in outstanding],
            )
            collect(source, outstanding, came, told, plan.get("patience", 2000))
            if not outstanding or source.refused:
                break
            told["vain"] += 1
        if source.refused:
            break
    told["came"] = came
    told["refused"] = source.refused
    told["waits"] = source.wants_connection
    source.close()
    print(json.dumps(told))


def collect(source, outstanding, came, told, patience):
    """Until everything is here, or the source has given up, or nothing has come for `patience` milliseconds."""
    life = ticks_ms()
    while outstanding and not source.refused and ticks_diff(ticks_ms(), life) < patience:
        if source.wants_connection:
            began = ticks_ms()
            source.connect()
            told["took"] = max(told["took"], ticks_diff(ticks_ms(), began))
            told["connects"] += 1
        if not source.stream and not source.wants_connection:
            return
        got = source.pump()
        if source.receiving:
            told["fresh"] += 1
            life = ticks_ms()
        if got:
            address, view = got
            came.append([address, hexlify(sha256(view).digest()).decode()])
            if address in outstanding:
                outstanding.remove(address)
        elif not source.receiving:
            sleep_ms(1)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], json.loads(sys.argv[4]))
