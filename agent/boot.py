"""The guard, copied to the board as /boot.py. It imports nothing of the agent, so that an image without one, an import
error, an app that never yields or falls into the REPL is rolled back too: while the running slot is
PENDING_VERIFY a timer resets the chip at the deadline, and the boot loader then takes the other slot. It takes Timer 1,
for the first that an app takes is Timer 0.
"""


def guard():  # a function: main.py, which sees the names of this file, can't put others in their place
    from binascii import crc32
    from struct import pack, unpack

    from esp32 import NVS, Partition
    from machine import DEEPSLEEP_RESET, SOFT_RESET, Timer, reset, reset_cause

    def pending():
        """Whether otadata says that the running slot is not confirmed (esp_ota_get_state_partition, ESP-IDF v5.5)."""
        running = Partition(Partition.RUNNING).info()[1] - 0x10
        slots = len([1 for p in Partition.find(Partition.TYPE_APP) if 0x10 <= p.info()[1] < 0x20])
        for otadata in Partition.find(Partition.TYPE_DATA, 0):
            for sector in (0, 1):
                record = bytearray(32)
                otadata.readblocks(sector, record)
                seq, state, crc = unpack("<I20xII", record)
                if crc == crc32(pack("<I", seq), 0xFFFFFFFF) and (seq - 1) % slots == running:
                    return state == 1
        return False

    def at_deadline(timer):
        try:
            if not pending():
                timer.deinit()
                return
        except Exception:  # no heap is left for the question: should the app be confirmed, it boots again
            pass
        reset()

    if pending():
        if reset_cause() in (SOFT_RESET, DEEPSLEEP_RESET):
            reset()  # started a second time, and past the boot loader: it would begin its deadline anew for ever
        try:
            deadline = NVS("otafleet").get_i32("guard_ms")
        except OSError:
            deadline = 331_000
        # Periodic, for a tick that finds the queue of callbacks full is lost.
        Timer(1).init(mode=Timer.PERIODIC, period=deadline, callback=at_deadline)


guard()
del guard
