"""What the user's own program has a say in. Derive from App, override what you need, give it to the agent."""

import sys

_LONGEST_S = 86_400  # far within what ticks_ms() can tell apart


class App:
    """Every method is called from within `Agent.step()` and should return soon.

    One that raises is printed and counts as not overridden, except `selftest()`: that one has then failed.
    """

    def veto(self, manifest):
        """Whether to refuse this update for good (`vetoed_by_app`). `manifest` is the verified manifest, a dict."""
        return False

    def defer(self, manifest):
        """Seconds to wait before this update begins, 0 to begin now. Asked again when they have passed."""
        return 0

    def prepare(self):
        """The update begins: free what memory you can."""

    def selftest(self):
        """Whether this program works, asked while its image is on trial: True, False, or None for not yet."""
        return True

    def before(self, step):
        """Seconds to wait before a step that can't be cut, 0 to take it now. Asked again when they have passed.

        "connect" (name look-up, TCP and login at the broker), "fetch" (the same at a web server), "set_boot" (ESP-IDF
        verifies the whole image) and "reboot".
        """
        return 0

    def status(self, phase, reason):
        """The update has come to this phase (protocol/phases.py), for this reason (protocol/reasons.py) or ""."""


def answer(otherwise, hook, *arguments):
    """What the hook says; `otherwise` when it raises."""
    try:
        return hook(*arguments)
    except Exception as error:
        sys.print_exception(error)
        return otherwise


def wait_ms(hook, *arguments):
    """Milliseconds for the seconds that a hook asks for: a day at most, 0 for what is no number."""
    seconds = answer(0, hook, *arguments)
    return int(min(seconds, _LONGEST_S) * 1000) if isinstance(seconds, (int, float)) and seconds > 0 else 0
