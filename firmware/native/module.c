// The module _otafleet: ESP-IDF's own OTA functions for MicroPython, beside the stock esp32.Partition.
//
// Theory of operation. Stock MicroPython has no OTA functions but set_boot() and mark_app_valid_cancel_rollback(), and
// a user module cannot add any to esp32.Partition. So these are free functions, which Python puts into a Partition of
// its own. A partition is named by its flash address, info()[2]. Errors are raised by MicroPython's own
// check_esp_err(): OSError(-code, "ESP_ERR_..."), save for NO_MEM (12), TIMEOUT (116) and NOT_SUPPORTED (95).
//
// Long work (erase, write, verify, hash, signature) goes on without the interpreter's lock, so other Python threads
// run. But only if the main thread called: a soft reset deletes the other threads wherever they are
// (mp_thread_deinit), and one that is deleted inside ESP-IDF never gives back the locks of flash and accelerators.
// A thread that keeps the interpreter's lock cannot be deleted there, because the main thread cannot run.
// One lock of our own keeps the work of two threads apart: the lists of handles are not made for two. It is given back
// before the interpreter's lock is taken, so a thread that waits for it with that lock in its hands does not wait for
// ever.
//
// No Python object is made, and nothing raised, between work_begin() and work_end().

#include <stdbool.h>

#include "py/mphal.h"
#include "py/mpstate.h"
#include "py/mpthread.h"
#include "py/runtime.h"

#include "guard.h"
#include "handles.h"
#include "signature.h"
#include "slots.h"
#include "text.h"

#if MICROPY_PY_THREAD
static mp_thread_mutex_t work_lock;
static bool work_lock_made;
#endif

// Whether the interpreter's lock was given away, for work_end().
static bool work_begin(void) {
    bool others_run = false;
    #if MICROPY_PY_THREAD
    // Under the interpreter's lock still, so only once until the chip resets.
    if (!work_lock_made) {
        mp_thread_mutex_init(&work_lock);
        work_lock_made = true;
    }
    others_run = mp_thread_get_state() == &mp_state_ctx.thread;
    if (others_run) {
        MP_THREAD_GIL_EXIT();
    }
    mp_thread_mutex_lock(&work_lock, 1);
    #endif
    return others_run;
}

static void work_end(bool others_run) {
    #if MICROPY_PY_THREAD
    mp_thread_mutex_unlock(&work_lock);
    if (others_run) {
        MP_THREAD_GIL_ENTER();
    }
    #else
    (void)others_run;
    #endif
}

// Do some work without the interpreter's lock, then raise what went wrong.
#define WORK(expression) do { \
        bool others_run = work_begin(); \
        esp_err_t err = (expression); \
        work_end(others_run); \
        check_esp_err(err); \
} while (0)

static const esp_partition_t *slot_at(mp_obj_t address) {
    const esp_partition_t *slot = otafleet_slots_find((uint32_t)mp_obj_get_int(address));
    if (slot == NULL) {
        check_esp_err(ESP_ERR_NOT_FOUND);
    }
    return slot;
}

static mp_buffer_info_t bytes_of(mp_obj_t object) {
    mp_buffer_info_t bytes;
    mp_get_buffer_raise(object, &bytes, MP_BUFFER_READ);
    return bytes;
}

// Stands for this run of the interpreter. A soft reset runs the finalisers of everything (gc_sweep_all), and so
// frees the handles that the run leaves behind. Not a module's __init__: that is called at every import.
static mp_obj_t run_del(mp_obj_t run) {
    (void)run;
    otafleet_handles_abort_all();
    MP_STATE_VM(otafleet_run) = NULL;
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(run_del_obj, run_del);

static const mp_rom_map_elem_t run_table[] = {
    { MP_ROM_QSTR(MP_QSTR___del__), MP_ROM_PTR(&run_del_obj) },
};
static MP_DEFINE_CONST_DICT(run_dict, run_table);

static MP_DEFINE_CONST_OBJ_TYPE(run_type, MP_QSTR__otafleet, MP_TYPE_FLAG_NONE, locals_dict, &run_dict);

MP_REGISTER_ROOT_POINTER(mp_obj_base_t *otafleet_run);

// Before a handle is made.
static void watch_run(void) {
    if (MP_STATE_VM(otafleet_run) == NULL) {
        MP_STATE_VM(otafleet_run) = mp_obj_malloc_with_finaliser(mp_obj_base_t, &run_type);
    }
}

// begin(address, image_size=0) -> handle. -1: size unknown, -2: sequential writes, as ESP-IDF's constants in 32 bits.
static mp_obj_t py_begin(size_t n_args, const mp_obj_t *args) {
    const esp_partition_t *slot = slot_at(args[0]);
    mp_int_t image_size = n_args > 1 ? mp_obj_get_int(args[1]) : 0;
    uint32_t number = 0;
    watch_run();
    WORK(image_size < -2 ? ESP_ERR_INVALID_SIZE : otafleet_handles_begin(slot, (uint32_t)image_size, &number));
    return mp_obj_new_int_from_uint(number);
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(py_begin_obj, 1, 2, py_begin);

// resume(address) -> handle
static mp_obj_t py_resume(mp_obj_t address) {
    const esp_partition_t *slot = slot_at(address);
    uint32_t number = 0;
    watch_run();
    WORK(otafleet_handles_resume(slot, &number));
    return mp_obj_new_int_from_uint(number);
}
static MP_DEFINE_CONST_FUN_OBJ_1(py_resume_obj, py_resume);

// erase(handle, offset, size): what was not erased by this handle before
static mp_obj_t py_erase(mp_obj_t handle, mp_obj_t offset_in, mp_obj_t size_in) {
    uint32_t number = mp_obj_get_int(handle);
    uint32_t offset = mp_obj_get_int(offset_in);
    uint32_t size = mp_obj_get_int(size_in);
    WORK(otafleet_handles_erase(number, offset, size));
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_3(py_erase_obj, py_erase);

// write(handle, bytes)
static mp_obj_t py_write(mp_obj_t handle, mp_obj_t data) {
    uint32_t number = mp_obj_get_int(handle);
    mp_buffer_info_t bytes = bytes_of(data);
    WORK(otafleet_handles_write(number, bytes.buf, bytes.len));
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_2(py_write_obj, py_write);

// write_with_offset(handle, bytes, offset)
static mp_obj_t py_write_with_offset(mp_obj_t handle, mp_obj_t data, mp_obj_t offset_in) {
    uint32_t number = mp_obj_get_int(handle);
    uint32_t offset = mp_obj_get_int(offset_in);
    mp_buffer_info_t bytes = bytes_of(data);
    WORK(otafleet_handles_write_with_offset(number, bytes.buf, bytes.len, offset));
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_3(py_write_with_offset_obj, py_write_with_offset);

// end(handle)
static mp_obj_t py_end(mp_obj_t handle) {
    uint32_t number = mp_obj_get_int(handle);
    WORK(otafleet_handles_end(number));
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(py_end_obj, py_end);

// abort(handle)
static mp_obj_t py_abort(mp_obj_t handle) {
    uint32_t number = mp_obj_get_int(handle);
    WORK(otafleet_handles_abort(number));
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(py_abort_obj, py_abort);

// app_state(address) -> 0 NEW, 1 PENDING_VERIFY, 2 VALID, 3 INVALID, 4 ABORTED, -1 UNDEFINED
static mp_obj_t py_app_state(mp_obj_t address) {
    esp_ota_img_states_t state;
    check_esp_err(esp_ota_get_state_partition(slot_at(address), &state));
    return MP_OBJ_NEW_SMALL_INT((int32_t)state);
}
static MP_DEFINE_CONST_FUN_OBJ_1(py_app_state_obj, py_app_state);

static mp_obj_t text(const char *field, size_t capacity) {
    char copy[sizeof(((esp_app_desc_t *)NULL)->version)];
    return mp_obj_new_str(copy, otafleet_text_copy(field, capacity, copy));
}

// app_description(address) -> (secure_version, version, project_name, time, date, idf_ver, app_elf_sha256)
static mp_obj_t py_app_description(mp_obj_t address) {
    esp_app_desc_t app;
    check_esp_err(esp_ota_get_partition_description(slot_at(address), &app));
    mp_obj_t fields[] = {
        mp_obj_new_int_from_uint(app.secure_version),
        text(app.version, sizeof(app.version)),
        text(app.project_name, sizeof(app.project_name)),
        text(app.time, sizeof(app.time)),
        text(app.date, sizeof(app.date)),
        text(app.idf_ver, sizeof(app.idf_ver)),
        mp_obj_new_bytes(app.app_elf_sha256, sizeof(app.app_elf_sha256)),
    };
    return mp_obj_new_tuple(MP_ARRAY_SIZE(fields), fields);
}
static MP_DEFINE_CONST_FUN_OBJ_1(py_app_description_obj, py_app_description);

// check_rollback_is_possible() -> bool. Verifies the whole other app.
static mp_obj_t py_check_rollback_is_possible(void) {
    bool others_run = work_begin();
    bool possible = esp_ota_check_rollback_is_possible();
    work_end(others_run);
    return mp_obj_new_bool(possible);
}
static MP_DEFINE_CONST_FUN_OBJ_0(py_check_rollback_is_possible_obj, py_check_rollback_is_possible);

// mark_app_invalid_rollback_and_reboot(): returns only by raising
static mp_obj_t py_mark_app_invalid_rollback_and_reboot(void) {
    WORK(esp_ota_mark_app_invalid_rollback_and_reboot());
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_0(py_mark_app_invalid_rollback_and_reboot_obj, py_mark_app_invalid_rollback_and_reboot);

// sha256(address, size) -> bytes: of the first `size` bytes of a partition
static mp_obj_t py_sha256(mp_obj_t address, mp_obj_t size_in) {
    const esp_partition_t *slot = slot_at(address);
    uint32_t size = mp_obj_get_int(size_in);
    uint8_t digest[OTAFLEET_SHA256_SIZE];
    WORK(otafleet_slots_sha256(slot, size, digest));
    return mp_obj_new_bytes(digest, sizeof(digest));
}
static MP_DEFINE_CONST_FUN_OBJ_2(py_sha256_obj, py_sha256);

// p256_verify(public, digest, signature) -> bool. A wrong length is no signature: False, as agent/p256.py answers.
static mp_obj_t py_p256_verify(mp_obj_t public_in, mp_obj_t digest_in, mp_obj_t signature_in) {
    mp_buffer_info_t public_key = bytes_of(public_in);
    mp_buffer_info_t digest = bytes_of(digest_in);
    mp_buffer_info_t signature = bytes_of(signature_in);
    bool good = false;
    if (public_key.len == OTAFLEET_PUBLIC_SIZE && digest.len == OTAFLEET_DIGEST_SIZE
        && signature.len == OTAFLEET_SIGNATURE_SIZE) {
        WORK(otafleet_signature_check(public_key.buf, digest.buf, signature.buf, &good));
    }
    return mp_obj_new_bool(good);
}
static MP_DEFINE_CONST_FUN_OBJ_3(py_p256_verify_obj, py_p256_verify);

// guard(milliseconds) -> bool: whether the running app is on trial and will be reset unless it is confirmed
static mp_obj_t py_guard(mp_obj_t milliseconds) {
    mp_int_t wanted = mp_obj_get_int(milliseconds);
    if (wanted <= 0) {
        check_esp_err(ESP_ERR_INVALID_ARG);
    }
    bool watching;
    check_esp_err(otafleet_guard_start((uint32_t)wanted, &watching));
    return mp_obj_new_bool(watching);
}
static MP_DEFINE_CONST_FUN_OBJ_1(py_guard_obj, py_guard);

static const mp_rom_map_elem_t globals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR__otafleet) },
    // Whether resume() and erase() are there, and any order of writes is safe after begin(address, -2).
    { MP_ROM_QSTR(MP_QSTR_ON_DEMAND), MP_ROM_INT(OTAFLEET_HAS_RESUME) },
    { MP_ROM_QSTR(MP_QSTR_begin), MP_ROM_PTR(&py_begin_obj) },
    { MP_ROM_QSTR(MP_QSTR_resume), MP_ROM_PTR(&py_resume_obj) },
    { MP_ROM_QSTR(MP_QSTR_erase), MP_ROM_PTR(&py_erase_obj) },
    { MP_ROM_QSTR(MP_QSTR_write), MP_ROM_PTR(&py_write_obj) },
    { MP_ROM_QSTR(MP_QSTR_write_with_offset), MP_ROM_PTR(&py_write_with_offset_obj) },
    { MP_ROM_QSTR(MP_QSTR_end), MP_ROM_PTR(&py_end_obj) },
    { MP_ROM_QSTR(MP_QSTR_abort), MP_ROM_PTR(&py_abort_obj) },
    { MP_ROM_QSTR(MP_QSTR_app_state), MP_ROM_PTR(&py_app_state_obj) },
    { MP_ROM_QSTR(MP_QSTR_app_description), MP_ROM_PTR(&py_app_description_obj) },
    { MP_ROM_QSTR(MP_QSTR_check_rollback_is_possible), MP_ROM_PTR(&py_check_rollback_is_possible_obj) },
    { MP_ROM_QSTR(MP_QSTR_mark_app_invalid_rollback_and_reboot),
      MP_ROM_PTR(&py_mark_app_invalid_rollback_and_reboot_obj) },
    { MP_ROM_QSTR(MP_QSTR_sha256), MP_ROM_PTR(&py_sha256_obj) },
    { MP_ROM_QSTR(MP_QSTR_p256_verify), MP_ROM_PTR(&py_p256_verify_obj) },
    { MP_ROM_QSTR(MP_QSTR_guard), MP_ROM_PTR(&py_guard_obj) },
};
static MP_DEFINE_CONST_DICT(globals, globals_table);

const mp_obj_module_t otafleet_module = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&globals,
};
MP_REGISTER_MODULE(MP_QSTR__otafleet, otafleet_module);
