"""One question to the image parser as plain data, so that CPython and MicroPython answer the very same ones."""

import binascii


def case(name, *, patches=None, cut=None, fill=False, limit=1_572_864, chip=None):
    """Verify the image `name` with other bytes at some offsets, cut short at `cut`, then filled with 0xFF."""
    return {
        "image": name,
        "patches": [[offset, data.hex()] for offset, data in (patches or {}).items()],
        "cut": cut,
        "fill": fill,
        "limit": limit,
        "chip": chip,
    }


def flip(image, name, bit, **options):
    """Verify the image with one bit changed; bit 0 is the lowest of the first byte."""
    return case(name, patches={bit // 8: bytes([image[bit // 8] ^ 1 << bit % 8])}, **options)


def answer(parser, image, question):
    """["ok", length] or [code, message]. Leaves `image`, a bytearray, as it was."""
    saved = []
    for offset, data in question["patches"]:
        value = binascii.unhexlify(data)
        saved.append((offset, bytes(image[offset : offset + len(value)])))
        image[offset : offset + len(value)] = value
    end = len(image) if question["cut"] is None else question["cut"]
    whole = memoryview(image)
    # Like a device: every read goes through one buffer that the next read uses again.
    buffer = bytearray(4096)

    def read(offset, length):
        found = max(0, min(length, end - offset))
        buffer[:found] = whole[offset : offset + found]
        if question["fill"]:
            for i in range(found, length):
                buffer[i] = 0xFF
            found = length
        return memoryview(buffer)[:found]

    try:
        return ["ok", parser.verify(read, question["limit"], question["chip"])]
    except parser.ImageError as error:
        return [error.code, str(error)]
    finally:
        for offset, data in saved:
            image[offset : offset + len(data)] = data
