"""The one exception of the wire protocol."""


class ProtocolError(Exception):
    """A message is not what the protocol allows.

    ``reason`` is a code of reasons.py, ``detail`` a short text of ours for a person (never text of the peer),
    ``n`` the number of the offer if one could still be read, else None: it tells whom to answer.
    """

    def __init__(self, reason: str, detail: str = "", n: int | None = None) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail
        self.n = n

    def __str__(self) -> str:
        return self.reason + ": " + self.detail if self.detail else self.reason
