"""Constants are written out where they are used, and nothing else of a source changes."""

from broker_tools import provision
from broker_tools.inlining import inline

LIMITS = b'"""Numbers."""\n\nCHUNK = 4096  # bytes\nWINDOW = 2 * CHUNK\nNAMES = ("a", "b")\nLARGE = 1 << 40\n'


def inlined(source, limits=LIMITS):
    return inline({"lib/p/limits.py": limits, "lib/p/user.py": source})["lib/p/user.py"].decode()


def test_an_imported_constant_is_written_out_and_its_import_goes():
    assert (
        inlined(b"from .limits import CHUNK, WINDOW\nsize = CHUNK + WINDOW\n")
        == "pass\nsize = (4096) + (8192)\n"
    )


def test_so_is_one_that_is_reached_through_its_module():
    assert inlined(b"from . import limits\nsize = limits.WINDOW\n") == "pass\nsize = (8192)\n"


def test_a_module_that_is_needed_for_more_stays():
    source = b"from . import limits\nprint(limits.CHUNK, limits)\n"
    assert inlined(source) == "from . import limits\nprint((4096), limits)\n"


def test_a_private_constant_goes_where_it_is_made():
    assert (
        inlined(b"_WAIT = 3 * 5\ndef f(s=_WAIT):\n    return s\n") == "pass\ndef f(s=(15)):\n    return s\n"
    )


def test_lines_stay_on_their_lines():
    source = b"from .limits import (\n    CHUNK,\n    other,\n)\nraise CHUNK\n"
    assert inlined(source).splitlines() == ["from .limits import other", "", "", "", "raise (4096)"]


def test_what_is_bound_elsewhere_or_large_or_a_tuple_of_its_own_module_is_left_alone():
    for source in (
        b"_N = 1\n_N = 2\nprint(_N)\n",
        b"def f(LIMIT):\n    return LIMIT\nLIMIT = 5\n",
        b"from .limits import LARGE\nprint(LARGE)\n",
        b"_BOTH = (1, 2)\nprint(_BOTH)\n",
        b"X = list((1, 2))\nprint(X)\n",
    ):
        assert inlined(source) == source.decode()


def test_a_tuple_is_written_out_elsewhere():
    assert inlined(b"from .limits import NAMES\nx in NAMES\n") == "pass\nx in (('a', 'b'))\n"


def test_the_agent_needs_no_module_of_constants():
    root = provision.agent_folder()
    sources = {
        f"lib/agent/{path.relative_to(root).as_posix()}": path.read_bytes()
        for path in root.rglob("*.py")
        if "host" not in path.parts and path.name not in {"boot.py", "main.py"}
    }
    for name, source in inline(sources).items():
        compile(source, name, "exec")
        assert b"import limits" not in source
        assert b"import reasons" not in source
        assert source.count(b"\n") == sources[name].count(b"\n")
