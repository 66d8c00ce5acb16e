"""What a command tells its user when it cannot go on."""

from broker_tools import exits


class OtafleetError(Exception):
    """A command ends here: `message` is one line that says what to do, `exit_code` is one of `exits`."""

    def __init__(self, message: str, exit_code: int = exits.FAILED) -> None:
        """Keep one line: whatever an operating system or a library put into `message` is folded into it."""
        self.message = " ".join(message.split())
        self.exit_code = exit_code
        super().__init__(self.message)


def os_reason(error: OSError) -> str:
    """What the operating system said, without number and path: "no space left on device"."""
    text = error.strerror or str(error) or type(error).__name__
    return text[:1].lower() + text[1:]
