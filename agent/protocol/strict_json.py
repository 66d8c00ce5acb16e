"""A strict JSON reader (RFC 8259) that gives the same verdict on CPython and on MicroPython.

MicroPython's own json takes ``{]``, ``[1 2]``, ``{"a":}`` and raw control characters, and nests until the
heap is full (seen on 1.28); CPython's takes NaN and a second member of one name, and ends deep nesting with
RecursionError. Two runtimes that read one message differently are how checks get bypassed: neither is used.
"""

from .limits import JSON_DEPTH_MAX, JSON_DIGITS_MAX, JSON_VALUES_MAX

_SPACE = b" \t\n\r"
_NUMBER = b"+-.0123456789Ee"
_ESCAPES = b'"\\/bfnrt'
_ESCAPED = '"\\/\b\f\n\r\t'
_HEX = b"0123456789abcdefABCDEF"


def read(data: bytes) -> object:
    """Return the one value that ``data`` (UTF-8) holds; raise ValueError if it is not exactly one JSON value.

    Besides RFC 8259 it refuses: members of one name twice, lone surrogates, more than JSON_DEPTH_MAX nested
    containers, more than JSON_VALUES_MAX values, whole numbers of more than JSON_DIGITS_MAX digits.
    """
    reader = _Reader(bytes(data))
    value = reader.value(0)
    if reader.peek() >= 0:
        raise ValueError("more than one value")
    return value


def _text(raw: bytes) -> str:
    if raw and min(raw) < 32:
        raise ValueError("control character")
    text = str(raw, "utf-8")  # a UnicodeError is a ValueError
    if len(text) != len(raw):
        # MicroPython lets surrogates and overlong forms pass; the shortest forms must add up to what came.
        length = 0
        for character in text:
            point = ord(character)
            if 0xD800 <= point < 0xE000 or point > 0x10FFFF:
                raise ValueError("not UTF-8")
            length += 1 + (point > 0x7F) + (point > 0x7FF) + (point > 0xFFFF)
        if length != len(raw):
            raise ValueError("not UTF-8")
    return text


class _Reader:
    def __init__(self, data):
        self.data = data
        self.at = 0
        self.left = JSON_VALUES_MAX

    def peek(self):
        """Skip white space; return the next byte, or -1 at the end."""
        data = self.data
        at = self.at
        end = len(data)
        while at < end and data[at] in _SPACE:
            at += 1
        self.at = at
        return data[at] if at < end else -1

    def take(self, expected):
        if self.peek() != expected:
            raise ValueError("syntax")
        self.at += 1

    def value(self, depth):
        self.left -= 1
        if self.left < 0:
            raise ValueError("too many values")
        first = self.peek()
        if first == 0x22:
            return self.string()
        if first in (0x7B, 0x5B):
            if depth == JSON_DEPTH_MAX:
                raise ValueError("too deep")
            return self.object(depth + 1) if first == 0x7B else self.array(depth + 1)
        for word, value in ((b"true", True), (b"false", False), (b"null", None)):
            if self.data[self.at : self.at + len(word)] == word:
                self.at += len(word)
                return value
        return self.number()

    def object(self, depth):
        found = {}
        self.at += 1
        if self.peek() == 0x7D:
            self.at += 1
            return found
        while True:
            if self.peek() != 0x22:
                raise ValueError("syntax")
            name = self.string()
            if name in found:
                raise ValueError("member twice")
            self.take(0x3A)
            found[name] = self.value(depth)
            if self.peek() != 0x2C:
                self.take(0x7D)
                return found
            self.at += 1

    def array(self, depth):
        found = []
        self.at += 1
        if self.peek() == 0x5D:
            self.at += 1
            return found
        while True:
            found.append(self.value(depth))
            if self.peek() != 0x2C:
                self.take(0x5D)
                return found
            self.at += 1

    def string(self):
        data = self.data
        at = self.at + 1
        parts = []
        while True:
            end = data.find(b'"', at)
            if end < 0:
                raise ValueError("string without end")
            escape = data.find(b"\\", at, end)
            if escape < 0:
                self.at = end + 1
                last = _text(data[at:end])
                return "".join(parts) + last if parts else last
            parts.append(_text(data[at:escape]))
            kind = data[escape + 1]  # the quote at `end` stands behind it, so it exists
            at = escape + 2
            if kind == 0x75:
                point = self.unit(at)
                at += 4
                if 0xD800 <= point < 0xDC00 and data[at : at + 2] == b"\\u":
                    low = self.unit(at + 2)
                    at += 6
                    # A high surrogate with anything but a low one behind it stays in the refused range.
                    if 0xDC00 <= low < 0xE000:
                        point = 0x10000 + ((point - 0xD800) << 10) + low - 0xDC00
                if 0xD800 <= point < 0xE000:
                    raise ValueError("lone surrogate")
                parts.append(chr(point))
            else:
                place = _ESCAPES.find(bytes((kind,)))
                if place < 0:
                    raise ValueError("unknown escape")
                parts.append(_ESCAPED[place])

    def unit(self, at):
        digits = self.data[at : at + 4]
        # int() alone would also take signs, spaces and underscores.
        if len(digits) != 4 or any(digit not in _HEX for digit in digits):
            raise ValueError("bad \\u escape")
        return int(digits, 16)

    def number(self):
        data = self.data
        start = self.at
        end = start
        while end < len(data) and data[end] in _NUMBER:
            end += 1
        self.at = end
        text = str(data[start:end], "utf-8")
        digits = text[1:] if text[:1] == "-" else text
        exact = digits.isdigit()
        if not exact:
            # RFC 8259 section 6: int [ frac ] [ exp ]; each part that is there has digits.
            digits = digits.replace("E", "e")
            mark = digits.find("e")
            if mark >= 0:
                exponent = digits[mark + 1 :]
                if not (exponent[1:] if exponent[:1] in ("+", "-") else exponent).isdigit():
                    raise ValueError("bad number")
                digits = digits[:mark]
            mark = digits.find(".")
            if mark >= 0:
                if not digits[mark + 1 :].isdigit():
                    raise ValueError("bad number")
                digits = digits[:mark]
            if not digits.isdigit():
                raise ValueError("bad number")
        if digits[0] == "0" and len(digits) > 1:
            raise ValueError("leading zero")
        if exact and len(digits) > JSON_DIGITS_MAX:
            raise ValueError("number too long")
        return int(text) if exact else float(text)
