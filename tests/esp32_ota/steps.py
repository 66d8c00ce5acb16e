"""Calls of esp32_ota as a table: each row is a step and what it has to come to.

What it comes to: None for no error, an error's name, or the value that is returned.
"""

OK = None
ARG = "ESP_ERR_INVALID_ARG"
STATE = "ESP_ERR_INVALID_STATE"
SIZE = "ESP_ERR_INVALID_SIZE"
NOT_FOUND = "ESP_ERR_NOT_FOUND"
NOT_SUPPORTED = "ESP_ERR_NOT_SUPPORTED"
CONFLICT = "ESP_ERR_OTA_PARTITION_CONFLICT"
INVALID = "ESP_ERR_OTA_VALIDATE_FAILED"
NO_WAY_BACK = "ESP_ERR_OTA_ROLLBACK_FAILED"
PENDING = "ESP_ERR_OTA_ROLLBACK_INVALID_STATE"
RUNNING = "running"
"""The name, among images, of the app that runs."""
NEW, PENDING_VERIFY, VALID, INVALID_STATE, ABORTED, UNDEFINED = 0, 1, 2, 3, 4, -1
# The codes that #7048's users see (ports/esp32/mphalport.c), by ESP-IDF's name.
CODES = {
    "ESP_FAIL": 1,
    "ESP_ERR_NOT_SUPPORTED": 95,
    "ESP_ERR_INVALID_ARG": -258,
    "ESP_ERR_INVALID_STATE": -259,
    "ESP_ERR_INVALID_SIZE": -260,
    "ESP_ERR_NOT_FOUND": -261,
    "ESP_ERR_OTA_PARTITION_CONFLICT": -5377,
    "ESP_ERR_OTA_VALIDATE_FAILED": -5379,
    "ESP_ERR_OTA_ROLLBACK_FAILED": -5381,
    "ESP_ERR_OTA_ROLLBACK_INVALID_STATE": -5382,
    "ENOENT": 2,
}


def begin(slot="ota_1", size=0, name="h", **more):
    """ota_begin; later steps call its handle by `name`."""
    return {"op": "ota_begin", "slot": slot, "size": size, "handle": name, **more}


def resume(slot="ota_1", size=0, name="h", **more):
    """ota_resume; later steps call its handle by `name`."""
    return {"op": "ota_resume", "slot": slot, "size": size, "handle": name, **more}


def write(data, handle="h"):
    """ota_write of some bytes."""
    return {"op": "ota_write", "handle": handle, "bytes": data.hex()}


def write_at(offset, data, handle="h"):
    """ota_write_with_offset of some bytes."""
    return {"op": "ota_write_with_offset", "handle": handle, "bytes": data.hex(), "offset": offset}


def part_of(image, start, size, handle="h", *, offset=True):
    """Write a piece of an image that lies on the device, at its own offset or behind what was written before."""
    op = "ota_write_with_offset" if offset else "ota_write"
    step = {"op": op, "handle": handle, "image": image, "from": start, "len": size}
    return step | ({"offset": start} if offset else {})


def whole(image, size, handle="h", *, chunk=4096, offset=True, order=None):
    """Rows that write an image of `size` bytes in chunks, each of which goes well."""
    starts = list(range(0, size, chunk))
    if order:
        order.shuffle(starts)
    return [(part_of(image, start, min(chunk, size - start), handle, offset=offset), OK) for start in starts]


def end(handle="h"):
    """ota_end."""
    return {"op": "ota_end", "handle": handle}


def abort(handle="h"):
    """ota_abort."""
    return {"op": "ota_abort", "handle": handle}


def ask(op, slot=None, **more):
    """Any other call, on a partition by its label."""
    return {"op": op, **({"slot": slot} if slot else {}), **more}


RESET = ask("reset")
CONFIRM = ask("mark_app_valid_cancel_rollback")
ROLL_BACK = ask("mark_app_invalid_rollback_and_reboot")
CAN_ROLL_BACK = ask("check_rollback_is_possible")


def check(board, rows):
    """Make the calls on the board and hold every answer against its row. Returns the answers."""
    rows = list(rows)
    answers = board.call([step for step, _ in rows])
    for number, ((step, wanted), answer) in enumerate(zip(rows, answers, strict=True)):
        if isinstance(wanted, str) and wanted in CODES:
            # OSError(2) is the one error that has no name.
            found = answer.get("code") == CODES[wanted] and answer["r"] in {wanted, "OSError"}
        elif answer["r"] != "ESP_OK":
            found = answer["r"] == wanted
        else:
            # 0 is a state and False an answer: they must not pass for each other.
            found = wanted is OK or (type(answer["value"]), answer["value"]) == (type(wanted), wanted)
        assert found, f"row {number}: {step} came to {answer}, not to {wanted}"
    return answers
