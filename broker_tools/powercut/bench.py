"""The bench of the power cuts: a home with a key, three images, a broker, and a new twin for each run.

Two good updates are rehearsed: the first one of a new device, whose flash and NVS are blank, and the one after
that, where every sector holds something old.
"""

import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self

from broker_tools import broker_url, exits, image, keys, provision, twins
from broker_tools.embedded import EmbeddedBroker
from broker_tools.errors import OtafleetError
from broker_tools.powercut.cuts import Cut
from broker_tools.powercut.promises import broken
from broker_tools.powercut.replay import CONFIRM_S, PREFIX, Run, Update, replay
from broker_tools.signing import Wish, sign
from broker_tools.stopping import never
from broker_tools.store.database import open_engine
from firmware.twin.flash import PowerCut
from firmware.twin.image import make_image

PROJECT = "lamp"
VERSIONS = ("1.0", "1.1", "1.2")
IMAGE_SIZE = 128 * 1024
"""Bytes of each image: enough chunks (32) for the window to reach its full width."""
DEVICES = ("new", "updated")
"""What the twin is before each of the good updates."""


class Bench:
    """A context manager. After `rehearse`, `cut` may be called from any thread."""

    def __init__(self, folder: Path, stop: Callable[[], bool] = never) -> None:
        """Prepare in `folder`, an empty one. `stop` is asked often; True ends every run."""
        self.updates: list[Update] = []
        self._folder = folder
        self._stop = stop
        self._stack = ExitStack()
        self._names = count(1)

    @property
    def operations(self) -> int:
        """How many operations the good updates have."""
        return sum(len(update.steps) for update in self.updates)

    def rehearse(self) -> None:
        """Run the good updates and count their operations.

        :raises OtafleetError: when one of them breaks a promise even without a cut
        """
        before = self._folder / "new"
        settings = provision.Settings(before.name, PROJECT, self._broker, PREFIX, [self._key.jwk])
        twins.provision(before, settings, app=_image(0))
        for number, name in enumerate(DEVICES):
            version = VERSIONS[number + 1]
            old, new = _image(number), _image(number + 1)
            app = image.parse(new, f"{version}.bin")
            release, _ = sign(self._store, app, self._key, Wish(PROJECT, version, confirm_s=CONFIRM_S))
            update = Update(name, before, self.operations + 1, (), old, new, release)
            after = self._folder / f"{name}-after"
            run = self.replay(update, after)
            wrong = next(broken(run.facts), "")
            if wrong:
                raise OtafleetError(f"the good update of the {name} twin went wrong: {wrong}")
            self.updates.append(replace(update, steps=run.steps))
            before = after

    def place(self, cut: Cut) -> Update:
        """Return the good update that `cut` falls into.

        :raises OtafleetError: when there is no such operation
        """
        for update in self.updates:
            if cut.operation < update.first + len(update.steps):
                return update
        message = f"the good updates have {self.operations} operations, there is no {cut.operation}"
        raise OtafleetError(message, exits.USAGE)

    def cut(self, cut: Cut, seed: int, log: Callable[[str], None] | None = None) -> Run:
        """Replay the update that `cut` falls into, and cut the power there.

        :param log: called with each line of the twin's console
        :raises OtafleetError: when there is no such operation, or the disk or the broker refuses
        """
        update = self.place(cut)
        places = [cut.operation - update.first + 1, cut.second]
        cuts = [PowerCut(at, each) for at, each in zip(places, cut.seeds(seed), strict=False)]
        folder = self._folder / f"cut-{next(self._names)}"
        try:
            return self.replay(update, folder, cuts, log)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def replay(
        self,
        update: Update,
        folder: Path,
        cuts: Sequence[PowerCut] = (),
        log: Callable[[str], None] | None = None,
    ) -> Run:
        """Run `update` on a copy of its twin in `folder`, whose name no other run may have had; see `replay`."""
        return replay(update, folder, self._broker, self._store, cuts=cuts, stop=self._stop, log=log)

    def __enter__(self) -> Self:
        """Make the home and start the broker. Raises OtafleetError."""
        home = self._folder / "home"
        home.mkdir(mode=0o700)
        self._key = keys.create(home, "powercut")
        self._store = open_engine(f"sqlite:///{home / 'otafleet.db'}")
        self._stack.callback(self._store.dispose)
        self._broker = broker_url.parse(self._stack.enter_context(EmbeddedBroker()).url)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()


def _image(number: int) -> bytes:
    """The image of that version; no two have a chunk in common."""
    return make_image(
        provision.agent_file("main.py"), PROJECT, VERSIONS[number], size=IMAGE_SIZE, seed=number
    )
