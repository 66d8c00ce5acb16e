"""The C code of firmware/native but its MicroPython module, built by the system's compiler for this computer."""

import subprocess

import pytest

from tests.support.paths import ROOT

HERE = ROOT / "tests" / "native"
NATIVE = ROOT / "firmware" / "native"
# Handles depend on the version of ESP-IDF: v5.4.2 brings esp_ota_resume(), v5.5 another order in esp_ota_begin().
PROGRAMS = [
    *(("handles", version) for version in ("5,2,2", "5,4,1", "5,4,2", "5,5,1")),
    *((cases, "5,5,1") for cases in ("guard", "signature", "slots", "text")),
]
# The sanitizers see a byte too many and an entry that nobody freed.
FLAGS = (
    *("-std=gnu17", "-g", "-O1", "-Wall", "-Wextra", "-Wshadow", "-Werror"),
    *("-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
)


@pytest.mark.parametrize(("cases", "version"), PROGRAMS)
def test_cases_in_c(cases, version, tmp_path):
    program = tmp_path / cases
    sources = [HERE / f"{cases}_cases.c", HERE / "chip.c", HERE / "ota.c"]
    # handles.c is in every program: a case starts with none open.
    sources += [NATIVE / f"{name}.c" for name in sorted({cases, "handles"})]
    compiled = subprocess.run(
        [
            *("cc", *FLAGS, f"-DESP_IDF_VERSION=ESP_IDF_VERSION_VAL({version})"),
            *("-I", HERE / "idf", "-I", HERE, "-I", NATIVE, "-o", program, *sources),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert compiled.returncode == 0, compiled.stderr
    run = subprocess.run([program], capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "ok " in run.stdout
