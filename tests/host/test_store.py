"""The store: its schema, what it refuses, and that two at once never get one number."""

import sqlite3
import threading

import pytest
from sqlalchemy import inspect

from agent.protocol.host import offers
from broker_tools import exits
from broker_tools.errors import OtafleetError
from broker_tools.store import desired, releases
from broker_tools.store.database import open_engine
from broker_tools.store.releases import Entry
from broker_tools.store.schema import HEAD, metadata
from tests.host.full_disk import run_limited


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/store.db"


@pytest.fixture
def store(url):
    engine = open_engine(url)
    yield engine
    engine.dispose()


def query(tmp_path, sql):
    connection = sqlite3.connect(tmp_path / "store.db")
    try:
        with connection:
            return connection.execute(sql).fetchall()
    finally:
        connection.close()


def test_the_migrations_make_the_tables_that_the_code_expects(store):
    found = inspect(store)
    for table in metadata.tables.values():
        columns = {column["name"]: column for column in found.get_columns(table.name)}
        assert set(columns) == {column.name for column in table.columns}
        for column in table.columns:
            assert str(columns[column.name]["type"]) == str(column.type.compile(store.dialect))
            assert columns[column.name]["nullable"] == column.nullable
        keys = found.get_pk_constraint(table.name)["constrained_columns"]
        assert keys == [column.name for column in table.primary_key.columns]


def test_a_new_store_is_at_the_head_and_is_opened_again_as_it_is(store, url, tmp_path):
    assert query(tmp_path, "SELECT version_num FROM alembic_version") == [(HEAD,)]
    assert query(tmp_path, "PRAGMA journal_mode") == [("wal",)]
    desired.offer(store, "fleet", "kitchen", 0, lambda n: b"x")
    again = open_engine(url)
    assert desired.offer(again, "fleet", "kitchen", 0, lambda n: b"x")[0] == 2
    again.dispose()


def test_a_store_of_a_newer_otafleet_is_refused_untouched(store, url, tmp_path):
    query(tmp_path, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(OtafleetError, match=r"was made by a newer otafleet \(schema 9999, this one knows"):
        open_engine(url)
    assert query(tmp_path, "SELECT version_num FROM alembic_version") == [("9999",)]


def test_a_store_of_the_first_schema_keeps_its_releases(url, tmp_path, store):
    releases.record(store, "demo", "a" * 64, lambda past: entry(10))
    store.dispose()
    query(tmp_path, "ALTER TABLE releases DROP COLUMN payloads")
    query(tmp_path, "UPDATE alembic_version SET version_num = '0001'")
    upgraded = open_engine(url)
    assert releases.record(upgraded, "demo", "a" * 64, lambda past: past.signed[0]) == (entry(10), False)
    upgraded.dispose()


def test_a_migration_that_fails_leaves_nothing_behind(url, tmp_path):
    query(tmp_path, "CREATE TABLE desired (other INTEGER)")  # the second table of the first migration
    with pytest.raises(OtafleetError, match="table desired already exists"):
        open_engine(url)
    assert query(tmp_path, "SELECT name FROM sqlite_master") == [("desired",)]


def test_many_that_open_a_new_store_at_once_all_get_it(url):
    failed = []

    def use():
        try:
            engine = open_engine(url)
            desired.offer(engine, "fleet", "kitchen", 0, lambda n: b"x")
            engine.dispose()
        except OtafleetError as error:
            failed.append(error)

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    engine = open_engine(url)
    assert desired.offer(engine, "fleet", "kitchen", 0, lambda n: b"x")[0] == 9
    engine.dispose()


@pytest.mark.parametrize("url", ["nonsense", "sqlite", "nosuch://x/y", "http://x"])
def test_a_bad_url_is_wrong_use(url):
    with pytest.raises(OtafleetError, match="bad store URL") as caught:
        open_engine(url)
    assert caught.value.exit_code == exits.USAGE


def test_what_is_no_store_is_one_line(tmp_path):
    (tmp_path / "store.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(OtafleetError, match=r"store sqlite:///.*store.db: file is not a database"):
        open_engine(f"sqlite:///{tmp_path}/store.db")
    with pytest.raises(OtafleetError, match="unable to open database file"):
        open_engine(f"sqlite:///{tmp_path}/no/such/folder/store.db")
    with pytest.raises(OtafleetError, match="unable to open database file"):
        open_engine(f"sqlite:///{tmp_path}")


def test_a_full_disk_is_one_line_and_the_next_publication_works(otafleet, device, image_file):
    otafleet.ok("keys", "new", "release")
    arguments = ("publish", image_file, "--key", "release", "--device", "kitchen", "--timeout", "1")
    result = run_limited(otafleet, 8, *arguments)
    assert result.returncode == 1
    assert result.stderr.startswith("otafleet: store sqlite:///")
    assert result.stderr.count("\n") == 1
    assert device.desired_count() == 0
    with otafleet.start(*arguments) as program:
        device.run_new(device.take())
        assert program.wait() == 0


def test_a_home_that_cannot_be_made_is_one_line(offline, tmp_path):
    (tmp_path / "file").write_text("")
    result = offline.run("keys", "new", "release", env={"OTAFLEET_HOME": f"{tmp_path}/file/home"})
    assert result.returncode == 1
    assert result.stderr == (
        f"otafleet: cannot make the home directory {tmp_path}/file/home: not a directory; "
        "set OTAFLEET_HOME to another place\n"
    )


def test_offer_numbers_grow_over_what_is_known_on_either_side(store):
    def payload(n):
        return str(n).encode()

    assert desired.offer(store, "fleet", "kitchen", 0, payload) == (1, b"1")
    assert desired.offer(store, "fleet", "kitchen", 0, payload) == (2, b"2")
    assert desired.offer(store, "fleet", "kitchen", 40, payload) == (41, b"41")
    assert desired.offer(store, "fleet", "kitchen", 7, payload) == (42, b"42")
    assert desired.offer(store, "fleet", "hall", 0, payload) == (1, b"1")
    assert desired.offer(store, "other", "kitchen", 0, payload) == (1, b"1")


def test_an_offer_that_cannot_be_made_takes_no_number(store):
    def refuse(_n):
        raise OtafleetError("too long")

    with pytest.raises(OtafleetError):
        desired.offer(store, "fleet", "kitchen", 0, refuse)
    assert desired.offer(store, "fleet", "kitchen", 0, lambda n: b"x")[0] == 1


def test_two_publishers_at_once_get_two_numbers(store):
    taken = []

    def take():
        taken.extend(desired.offer(store, "fleet", "kitchen", 0, lambda n: b"x")[0] for _ in range(10))

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == list(range(1, 41))


def test_only_the_last_offer_can_be_withdrawn(store, tmp_path):
    for _ in range(2):
        desired.offer(store, "fleet", "kitchen", 0, lambda n: b"offer")
    withdrawal = offers.encode_withdrawal(2, "withdrawn")
    assert not desired.withdraw(store, "fleet", "kitchen", 1, withdrawal)
    assert not desired.withdraw(store, "fleet", "hall", 2, withdrawal)
    assert query(tmp_path, "SELECT n, withdrawn, payload FROM desired") == [(2, 0, b"offer")]
    assert desired.withdraw(store, "fleet", "kitchen", 2, withdrawal)
    assert query(tmp_path, "SELECT n, withdrawn, payload FROM desired") == [(2, 1, withdrawal)]


def entry(sequence, sha256="a" * 64, project="demo"):
    return Entry(project, "1.0", sequence, 0, "previous", sha256, 100, "0" * 16, f"jws{sequence}", None)


def test_the_ledger_knows_the_last_the_previous_and_all_of_the_same_image(store):
    seen = []

    def add(new):
        def choose(past):
            seen.append(past)
            return new

        assert releases.record(store, new.project, new.sha256, choose) == (new, True)

    add(entry(10))
    add(entry(20, "b" * 64))
    add(entry(30))
    add(entry(99, project="other"))
    assert [(past.last, past.previous, [e.sequence for e in past.signed]) for past in seen] == [
        (0, 0, []),
        (10, 10, []),
        (20, 20, [10]),
        (0, 0, []),
    ]
    reused = releases.record(store, "demo", "a" * 64, lambda past: past.signed[-1])
    assert reused == (entry(10), False)


def test_two_releases_never_share_a_sequence(store):
    releases.record(store, "demo", "a" * 64, lambda past: entry(10))
    with pytest.raises(OtafleetError, match="UNIQUE constraint failed"):
        releases.record(store, "demo", "b" * 64, lambda past: entry(10, "b" * 64))
