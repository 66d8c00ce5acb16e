# Makes the esp32 module of a twin look like that of a firmware with pull request #7048: each function prints its call
# and does no more. Bound to an object of a Python class, native code would not know it, so they insist on their own.
import sys
import esp32

Plain = esp32.Partition


def told(name, value=None):
    def call(self, *arguments):
        print("7048", name, *arguments)
        return value

    return call


class Info(Plain):
    app_description = told("app_description", (0, "in #7048", "", "", "", "", bytes(32)))

    @classmethod
    def check_rollback_is_possible(cls):
        print("7048 check_rollback_is_possible")
        return True


class Old(Info):
    app_state = told("app_state", "valid")


class Whole(Info):
    APP_STATE_NEW = 0
    app_state = told("app_state", 2)
    ota_begin = told("ota_begin", 1)
    ota_write = told("ota_write")
    ota_write_with_offset = told("ota_write_with_offset")
    ota_end = told("ota_end")
    ota_abort = told("ota_abort")

    @classmethod
    def mark_app_invalid_rollback_and_reboot(cls):
        print("7048 mark_app_invalid_rollback_and_reboot")


class Module:
    def __init__(self, partition):
        self.Partition = partition

    def __getattr__(self, name):
        return getattr(esp32, name)


def use(partition):
    sys.modules["esp32"] = Module(partition)
