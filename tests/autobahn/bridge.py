"""How do the Autobahn cases, which speak HTTP/1.1, come to an endpoint that speaks HTTP/2? (RFC 8441)

A bridge translates the opening handshake and then passes bytes on as they are, both ways: TCP's FIN as END_STREAM, its
reset as RST_STREAM(CANCEL), and no more bytes than flow control allows. Its HTTP/2 is the PyPI package h2, which shares
nothing with this crate.

    Up      HTTP/1.1 Upgrade in, extended CONNECT out: all streams on one connection, as long as it lives
    Down    extended CONNECT in, HTTP/1.1 Upgrade out: a connection that carries nothing more is ended

`run.py --http 2` puts them between the cases and the programs.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import os
import socket
import struct
from collections import Counter, deque
from collections.abc import Coroutine, Iterable

from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings

HOST = "127.0.0.1"
OPEN_LIMIT = 10.0  # seconds for a connection and its first SETTINGS
IDLE = 0.02  # seconds without a stream, after which the bridge ends a connection that it accepted
HELD = 256 << 10  # bytes of one stream that may wait for its window
# What a handshake has only over HTTP/1.1. An extended CONNECT says it otherwise, or not at all.
HTTP1_ONLY = {"host", "connection", "upgrade", "sec-websocket-key", "sec-websocket-accept"}


def parse(head: bytes) -> tuple[str, list[tuple[str, str]]]:
    """The first line of an HTTP/1.1 head, and its fields."""
    first, *lines = head.decode("latin-1").split("\r\n")
    parts = (line.partition(":") for line in lines)
    return first, [(name.strip().lower(), value.strip()) for name, _, value in parts]


def write(first: str, fields: list[tuple[str, str]]) -> bytes:
    lines = [first, *(f"{name}: {value}" for name, value in fields)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def accept(key: str) -> str:
    return base64.b64encode(hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()).decode()


class Tunnel(asyncio.Protocol):
    """One stream, and the HTTP/1.1 connection that it is bridged to."""

    def __init__(self, bridge: Bridge, carrier: Carrier | None = None) -> None:
        self.bridge, self.carrier = bridge, carrier
        self.number: int | None = None
        self.transport: asyncio.Transport | None = None
        self.key = ""
        self.input = bytearray()  # the head, then what waits for the stream's window
        self.is_open = False  # the handshake is over
        self.has_head = False
        self.fin_came = self.end_sent = self.end_came = self.is_over = False
        self.is_full = False  # the HTTP/1.1 side takes no more for now
        self.credit = 0  # what of the stream's window is given back when it does

    # The HTTP/1.1 side.

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.input += data
        if not self.has_head and b"\r\n\r\n" in self.input:
            self.has_head = True
            head, _, rest = bytes(self.input).partition(b"\r\n\r\n")
            self.input[:] = rest
            self.bridge.head(self, *parse(head))
        self.pass_on()

    def eof_received(self) -> bool:
        self.fin_came = True
        if self.has_head:
            self.pass_on()
        else:
            self.transport.abort()
        return True

    def pause_writing(self) -> None:
        self.is_full = True

    def resume_writing(self) -> None:
        self.is_full = False
        self.give_credit(0)
        self.carrier.flush()

    def connection_lost(self, error: Exception | None) -> None:
        self.is_full = False
        if self.number is not None:
            self.give_credit(0)
            if not self.is_over:
                self.carrier.reset(self)

    def pass_on(self) -> None:
        if len(self.input) >= HELD:
            self.transport.pause_reading()
        if self.is_open:
            self.carrier.pump([self])

    # The HTTP/2 side.

    def send_some(self) -> bool:
        """Sends one frame if it may; whether there may be another."""
        if not self.is_open or self.end_sent or self.is_over:
            return False
        h2 = self.carrier.h2
        if self.input:
            size = min(h2.local_flow_control_window(self.number), h2.max_outbound_frame_size, len(self.input))
            if size <= 0:
                return False
            h2.send_data(self.number, bytes(self.input[:size]))
            del self.input[:size]
            if len(self.input) < HELD:
                self.transport.resume_reading()
            return True
        if self.fin_came:
            h2.end_stream(self.number)
            self.end_sent = True
            self.finish()
        return False

    def give_credit(self, count: int) -> None:
        self.credit += count
        if self.credit and not self.is_full and not self.carrier.is_lost:
            self.carrier.h2.acknowledge_received_data(self.credit, self.number)
            self.credit = 0

    def end(self) -> None:
        self.end_came = True
        with contextlib.suppress(OSError):  # it may be gone, which it says itself
            self.transport.write_eof()
        self.finish()

    def finish(self) -> None:
        if self.end_sent and self.end_came:
            self.is_over = True
            self.transport.close()
            self.carrier.drop(self)

    def abort(self) -> None:
        """Resets the HTTP/1.1 side; or ends it, where END_STREAM came before the reset."""
        self.is_over = True
        if self.end_came:
            self.transport.close()
        elif self.transport is not None:
            tcp = self.transport.get_extra_info("socket")
            with contextlib.suppress(OSError):
                tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()


class Carrier(asyncio.Protocol):
    """One HTTP/2 connection."""

    def __init__(self, bridge: Bridge, is_client: bool) -> None:
        self.bridge, self.is_client = bridge, is_client
        self.h2 = H2Connection(H2Configuration(client_side=is_client, header_encoding="latin-1"))
        if not is_client:
            self.h2.local_settings = Settings(client=False, initial_values={SettingCodes.ENABLE_CONNECT_PROTOCOL: 1})
        self.tunnels: dict[int, Tunnel] = {}
        self.allows = asyncio.Event()  # the peer takes extended CONNECT
        self.is_full = self.is_lost = False

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.h2.initiate_connection()
        self.flush()

    def data_received(self, data: bytes) -> None:
        try:
            for event in self.h2.receive_data(data):
                self.on(event)
        except ProtocolError as error:
            self.fail(f"the peer broke HTTP/2: {error!r}")
        self.flush()

    def pause_writing(self) -> None:
        self.is_full = True

    def resume_writing(self) -> None:
        self.is_full = False
        self.pump(self.tunnels.values())

    def connection_lost(self, error: Exception | None) -> None:
        # A client may go whenever it likes; our client does so once it knows how many cases there are.
        lost = len(self.tunnels) if self.is_client else 0
        self.fail(f"an HTTP/2 connection ended with {lost} streams on it ({error!r})" if lost else "")

    def on(self, event: events.Event) -> None:
        tunnel = self.tunnels.get(getattr(event, "stream_id", None))
        if isinstance(event, events.DataReceived):
            if tunnel is None:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            else:
                tunnel.transport.write(event.data)
                tunnel.give_credit(event.flow_controlled_length)
        elif isinstance(event, (events.WindowUpdated, events.RemoteSettingsChanged)):
            if self.h2.remote_settings.get(SettingCodes.ENABLE_CONNECT_PROTOCOL) == 1:
                self.allows.set()
            self.pump([tunnel] if tunnel else self.tunnels.values())
        elif isinstance(event, events.RequestReceived):
            self.bridge.carried["streams"] += 1
            self.tunnels[event.stream_id] = tunnel = Tunnel(self.bridge, self)
            tunnel.number = event.stream_id
            self.bridge.spawn(self.bridge.request(tunnel, dict(event.headers), event.headers))
        elif isinstance(event, events.ConnectionTerminated):
            if event.error_code != ErrorCodes.NO_ERROR:
                self.fail(f"GOAWAY with error code {event.error_code}, {event.additional_data}")
        elif tunnel is None:
            pass
        elif isinstance(event, events.ResponseReceived):
            self.bridge.response(tunnel, dict(event.headers)[":status"], event.headers)
        elif isinstance(event, events.StreamEnded):
            tunnel.end()
        elif isinstance(event, events.StreamReset):
            self.bridge.carried["resets that came"] += 1
            tunnel.abort()
            self.drop(tunnel)

    def pump(self, tunnels: Iterable[Tunnel]) -> None:
        """Sends what may be sent, a frame of each tunnel in turn."""
        turns = deque(tunnels)
        while turns and not self.is_full and not self.is_lost:
            tunnel = turns.popleft()
            if tunnel.send_some():
                turns.append(tunnel)
        self.flush()

    def flush(self) -> None:
        if (data := self.h2.data_to_send()) and not self.is_lost:
            self.transport.write(data)

    def open(self, tunnel: Tunnel) -> None:
        tunnel.is_open = True
        self.pump([tunnel])

    def reset(self, tunnel: Tunnel) -> None:
        """The HTTP/1.1 side is gone before its time."""
        tunnel.is_over = True
        if not self.is_lost:
            self.bridge.carried["resets sent"] += 1
            with contextlib.suppress(ProtocolError):
                self.h2.reset_stream(tunnel.number, ErrorCodes.CANCEL)
            self.flush()
        self.drop(tunnel)

    def drop(self, tunnel: Tunnel) -> None:
        self.tunnels.pop(tunnel.number, None)
        if not self.tunnels and not self.is_client:
            asyncio.get_running_loop().call_later(IDLE, self.leave)

    def leave(self) -> None:
        if not self.tunnels and not self.is_lost:
            self.h2.close_connection()
            self.fail("")

    def fail(self, fault: str) -> None:
        """Ends the connection; a fault of the peer, if it is said, is one of the run."""
        if self.is_lost:
            return
        if fault:
            self.bridge.faults.append(fault)
        self.flush()
        self.is_lost = True
        self.transport.close()
        for tunnel in self.tunnels.values():
            tunnel.abort()
        self.tunnels.clear()


class Bridge:
    """Listens on a port that is free, and bridges what comes to another."""

    def __init__(self, port: int, host: str = HOST) -> None:
        self.to = (host, port)
        self.carried: Counter[str] = Counter()
        self.faults: list[str] = []
        self.tasks: set[asyncio.Task] = set()

    async def start(self) -> Bridge:
        self.server = await asyncio.get_running_loop().create_server(self.accepted, HOST, 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    def stop(self) -> Counter[str]:
        """Stops; what was carried."""
        self.server.close()
        return self.carried

    def spawn(self, work: Coroutine) -> None:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.done)

    def done(self, task: asyncio.Task) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.faults.append(f"a handshake failed: {task.exception()!r}")


class Up(Bridge):
    """From HTTP/1.1 to HTTP/2."""

    carrier: Carrier | None = None
    connecting: asyncio.Task | None = None

    def accepted(self) -> Tunnel:
        return Tunnel(self)

    def head(self, tunnel: Tunnel, first: str, fields: list[tuple[str, str]]) -> None:
        self.spawn(self.ask(tunnel, first.split(" ")[1], fields))

    async def connect(self) -> Carrier:
        loop = asyncio.get_running_loop()
        _, carrier = await loop.create_connection(lambda: Carrier(self, True), *self.to)
        self.carried["HTTP/2 connections"] += 1
        await carrier.allows.wait()
        return carrier

    async def ask(self, tunnel: Tunnel, target: str, fields: list[tuple[str, str]]) -> None:
        if self.carrier is None or self.carrier.is_lost:
            if self.connecting is None or self.connecting.done():
                self.connecting = asyncio.create_task(self.connect())
            try:
                self.carrier = await asyncio.wait_for(asyncio.shield(self.connecting), OPEN_LIMIT)
            except OSError:
                tunnel.abort()
                raise
        given = dict(fields)
        tunnel.carrier, tunnel.key = self.carrier, given["sec-websocket-key"]
        h2 = self.carrier.h2
        tunnel.number = h2.get_next_available_stream_id()
        self.carrier.tunnels[tunnel.number] = tunnel
        self.carried["streams"] += 1
        pseudo = {":method": "CONNECT", ":protocol": "websocket", ":scheme": "http", ":path": target,
                  ":authority": given["host"]}
        h2.send_headers(tunnel.number, [*pseudo.items(), *((n, v) for n, v in fields if n not in HTTP1_ONLY)])
        self.carrier.flush()
        if tunnel.transport.is_closing():
            self.carrier.reset(tunnel)

    def response(self, tunnel: Tunnel, code: str, fields: list[tuple[str, str]]) -> None:
        fields = [(name, value) for name, value in fields if not name.startswith(":")]
        if code == "200":
            switch = [("upgrade", "websocket"), ("connection", "Upgrade"), ("sec-websocket-accept", accept(tunnel.key))]
            tunnel.transport.write(write("HTTP/1.1 101 Switching Protocols", switch + fields))
        else:
            tunnel.transport.write(write(f"HTTP/1.1 {code} ", [("connection", "close"), *fields]))
        tunnel.carrier.open(tunnel)


class Down(Bridge):
    """From HTTP/2 to HTTP/1.1."""

    def accepted(self) -> Carrier:
        self.carried["HTTP/2 connections"] += 1
        return Carrier(self, False)

    async def request(self, tunnel: Tunnel, given: dict[str, str], fields: list[tuple[str, str]]) -> None:
        if (given[":method"], given.get(":protocol")) != ("CONNECT", "websocket"):
            self.faults.append(f"no extended CONNECT: {fields}")
            return tunnel.carrier.reset(tunnel)
        try:
            await asyncio.get_running_loop().create_connection(lambda: tunnel, *self.to)
        except OSError:
            return self.refuse(tunnel, "502")
        if tunnel.is_over:  # reset in the meantime
            return tunnel.abort()
        tunnel.key = base64.b64encode(os.urandom(16)).decode()
        upgrade = [("host", given[":authority"]), ("upgrade", "websocket"), ("connection", "Upgrade"),
                   ("sec-websocket-key", tunnel.key)]
        rest = [(name, value) for name, value in fields if not name.startswith(":")]
        tunnel.transport.write(write(f"GET {given[':path']} HTTP/1.1", upgrade + rest))

    def head(self, tunnel: Tunnel, first: str, fields: list[tuple[str, str]]) -> None:
        code, given = first.split(" ")[1], dict(fields)
        if code == "101" and given.get("sec-websocket-accept") != accept(tunnel.key):
            self.faults.append("the HTTP/1.1 server answered with a wrong Sec-WebSocket-Accept")
        if code != "101":
            return self.refuse(tunnel, code)
        rest = [(name, value) for name, value in fields if name not in HTTP1_ONLY]
        tunnel.carrier.h2.send_headers(tunnel.number, [(":status", "200"), *rest])
        tunnel.carrier.open(tunnel)

    def refuse(self, tunnel: Tunnel, code: str) -> None:
        tunnel.carrier.h2.send_headers(tunnel.number, [(":status", code)], end_stream=True)
        tunnel.carrier.flush()
        tunnel.abort()
        tunnel.carrier.drop(tunnel)
