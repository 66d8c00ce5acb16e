"""A new image on its own boot: it proves itself within the deadline, or it is given up.

Theory of operation. `run()` is the generator of the tests, in order: the stored manifest verifies again with the code
and the keys that now run, the running slot is that image, the app's own self-test passes, and the broker is heard
over the image's own connection. `doubt` names the test that is being waited for: it is the reason when the deadline
passes first. An image that could not be updated again is never kept.
"""

from time import ticks_add, ticks_diff, ticks_ms

from .esp32_ota import Partition
from .examine import verified
from .protocol import reasons
from .protocol.errors import ProtocolError
from .protocol.limits import BOOTS_MAX, CONFIRM_S


class Trial:
    """`entry` is the journal's. `selftest` returns True, False, or None for not yet; None instead of it passes.

    `heard` tells whether this boot's own connection has delivered an offer, or our own state. `began` is ticks_ms() of
    the agent's start: the guard's time runs too while the slots are read.
    """

    def __init__(self, entry, device, selftest, heard, began):
        self.doubt = reasons.DEADLINE
        self.confirm_s = CONFIRM_S
        self._entry = entry
        self._device = device
        self._selftest = selftest
        self._heard = heard
        self._began = began
        self._kept = (
            device.running.state() == "VALID"
        )  # confirmed, but the power went before the journal knew

    def overdue(self):
        """Whether the manifest's deadline, counted from this boot, has passed."""
        return not self._kept and ticks_diff(ticks_ms(), ticks_add(self._began, self.confirm_s * 1000)) >= 0

    def run(self):
        """Generator: returns the verified manifest when the image has proved itself, else raises ProtocolError."""
        if self._entry["boots"] > BOOTS_MAX and not self._kept:
            raise ProtocolError(reasons.BOOT_LOOP, "booted %d times" % self._entry["boots"])
        try:
            manifest = yield from verified(self._entry["manifest"], self._device.config.keys)
        except ProtocolError as error:
            raise ProtocolError(reasons.MANIFEST_LOST, error.reason)
        self.confirm_s = manifest["confirm_s"]
        image = manifest["component"]
        held = yield from self._device.running.holds(image)
        if not held or not self._device.switched():
            raise ProtocolError(reasons.DIGEST_MISMATCH, "the running slot is not the offered image")
        if self._kept:
            return manifest
        self.doubt = reasons.SELFTEST_FAILED
        while self._selftest:
            passed = self._selftest()
            if passed:
                break
            if passed is False:
                raise ProtocolError(reasons.SELFTEST_FAILED, "the app's self-test failed")
            yield True
        self.doubt = reasons.UNREACHABLE
        while not self._heard():
            yield True
        return manifest

    def confirm(self):
        """Keep the running image. Raises OSError from otadata."""
        Partition.mark_app_valid_cancel_rollback()

    def revert(self):
        """Give the running image up and reboot into the other. Raises OSError when there is no other."""
        Partition.mark_app_invalid_rollback_and_reboot()
