"""`otafleet monitor`: what devices report, as it comes."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import rich_click as click

from agent.protocol.errors import ProtocolError
from agent.protocol.host import reports, topics
from broker_tools.commands import options
from broker_tools.connection import Message
from broker_tools.outcome import running_slot
from broker_tools.stopping import Stopping
from broker_tools.text import clean

DECODERS = {"state": reports.decode_state, "ack": reports.decode_ack, "online": reports.decode_online}
TURN_S = 0.25


@click.command()
@options.broker
@options.json_lines
def command(broker: str, cafile: Path | None, prefix: str, as_json: bool) -> None:
    """Print every report of every device, one line each, until Ctrl-C.

    First come the states that the broker has kept (marked with =), then what happens from now on.
    """
    client = options.make_client(broker, cafile)
    client.on_offline = lambda: click.echo(f"lost the broker at {client.broker}; trying again", err=True)
    client.on_online = lambda: click.echo(f"connected again to {client.broker}", err=True)
    with Stopping() as stopping:
        client.open()
        try:
            for leaf in DECODERS:
                client.subscribe(topics.all_devices(prefix, leaf), 1)
            while not stopping():
                for message in client.pump(TURN_S):
                    line = _line(message, prefix, as_json)
                    if line:
                        click.echo(line)
        finally:
            client.close()


def _line(message: Message, prefix: str, as_json: bool) -> str:
    """One report as a line; "" for what is no report of a device."""
    found = topics.parse_device(prefix, message.topic)
    if found is None or found[1] not in DECODERS:
        return ""
    device, leaf = found
    now = time.time()
    known: dict[str, Any] = {
        "time": round(now, 3),
        "device": device,
        "topic": leaf,
        "retained": message.retained,
    }
    if not message.payload:
        # An empty retained message is how MQTT removes one: somebody made the broker forget this device.
        return (
            json.dumps(known | {"message": None}) if as_json else _text(now, message, device, leaf, "removed")
        )
    try:
        report_ = DECODERS[leaf](message.payload)
    except ProtocolError as error:
        if as_json:
            return json.dumps(known | {"bad": error.reason, "detail": error.detail})
        return _text(now, message, device, leaf, f"bad {leaf} from {device}: {clean(error)}")
    if as_json:
        return json.dumps(known | {"message": report_})
    return _text(now, message, device, leaf, SUMMARIES[leaf](report_))


def _text(now: float, message: Message, device: str, leaf: str, summary: str) -> str:
    mark = "=" if message.retained else " "
    return f"{time.strftime('%H:%M:%S', time.localtime(now))} {mark} {device:<16} {leaf:<6} {summary}"


def _phase(report_: Mapping[str, Any]) -> str:
    reason = f" ({clean(report_['reason'])})" if report_["reason"] else ""
    return f"n {report_['n']} {report_['phase']}{reason}"


def _state(state: Mapping[str, Any]) -> str:
    slot = running_slot(state) or {"app_state": "?", "version": "", "sha256": ""}
    done, total = state["progress"]
    progress = f" {100 * done // total} %" if total and state["phase"] == "downloading" else ""
    others = ", ".join(
        f"{s['slot']} {s['app_state']}" for s in state["slots"] if s["slot"] != state["running"]
    )
    runs = (
        f"{state['running']} {slot['app_state']} {clean(slot['version']) or '-'} {slot['sha256'][:16] or '-'}"
    )
    return f"{_phase(state)}{progress}; runs {runs}" + (f"; {others}" if others else "")


def _ack(ack: Mapping[str, Any]) -> str:
    return f"{_phase(ack)}; runs {ack['slot']} {ack['app_state']} {ack['sha256'][:16] or '-'}"


def _online(presence: Mapping[str, Any]) -> str:
    word = "online" if presence["online"] else "offline"
    return f"{word}; boot {presence['boot']}, connection {presence['conn']}"


SUMMARIES = {"state": _state, "ack": _ack, "online": _online}
