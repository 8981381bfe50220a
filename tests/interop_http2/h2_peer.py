"""How do the PyPI packages h2 and wsproto carry WebSockets over HTTP/2, as server and as client?

h2_peer.py           listens, and its first line says where; whatever comes on a stream is echoed in the parts it came in
h2_peer.py HOST:PORT asks examples/testbed for several WebSockets and other things on one connection, at the same time, and
                     is silent if all is as it should be
"""

import socket
import sys
import threading
import zlib

from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.settings import SettingCodes, Settings
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Message, Ping, Pong, TextMessage
from wsproto.extensions import PerMessageDeflate

EXTENSIONS = "sec-websocket-extensions"


class Stream:
    """One stream, and the WebSocket on it once it is open."""

    def __init__(self, peer, number):
        self.peer, self.number = peer, number
        self.ws = None
        self.deflate = PerMessageDeflate()
        self.unsent = b""
        self.status = self.headers = self.reset = None
        self.body = b""
        self.messages, self.part = [], None
        self.pongs, self.close, self.is_ended = [], None, False

    def open(self, kind, extensions):
        self.ws = Connection(kind, extensions)

    def send(self, event):
        self.unsent += self.ws.send(event)
        self.flush()

    def flush(self):
        h2 = self.peer.h2
        while self.unsent and self.reset is None:
            size = min(h2.local_flow_control_window(self.number), h2.max_outbound_frame_size, len(self.unsent))
            if size <= 0:
                return
            h2.send_data(self.number, self.unsent[:size])
            self.unsent = self.unsent[size:]
        # Closed by both sides: END_STREAM (RFC 8441 5), the server first.
        if self.ws and self.ws.state is ConnectionState.CLOSED and (self.peer.is_server or self.is_ended):
            h2.end_stream(self.number)
            self.ws = None

    def receive(self, data, echoes):
        if self.ws is None:
            self.body += data
            return
        if not data:
            return
        self.ws.receive_data(data)
        for event in self.ws.events():
            if isinstance(event, Ping):
                self.send(event.response())
            elif isinstance(event, Pong):
                self.pongs.append(bytes(event.payload))
            elif isinstance(event, CloseConnection):
                self.close = (event.code, event.reason)
                if self.ws.state is ConnectionState.REMOTE_CLOSING:
                    self.send(event.response())
                else:
                    self.flush()
                return
            elif isinstance(event, (TextMessage, BytesMessage)):
                if echoes:
                    self.send(Message(data=event.data, message_finished=event.message_finished))
                    continue
                data = event.data if isinstance(event, TextMessage) else bytes(event.data)
                self.part = data if self.part is None else self.part + data
                if event.message_finished:
                    self.messages.append(self.part)
                    self.part = None


class Peer:
    """One connection."""

    def __init__(self, tcp, is_server):
        self.tcp, self.is_server, self.streams = tcp, is_server, {}
        self.h2 = H2Connection(H2Configuration(client_side=not is_server, header_encoding="utf-8"))
        if is_server:
            values = {SettingCodes.ENABLE_CONNECT_PROTOCOL: 1, SettingCodes.MAX_CONCURRENT_STREAMS: 50}
            self.h2.local_settings = Settings(client=False, initial_values=values)
        self.h2.initiate_connection()

    def turn(self):
        """Reads once; false at the end."""
        self.tcp.sendall(self.h2.data_to_send())
        data = self.tcp.recv(65536)
        for event in self.h2.receive_data(data) if data else []:
            self.on(event)
        for stream in list(self.streams.values()):
            stream.flush()
        self.tcp.sendall(self.h2.data_to_send())
        return bool(data)

    def on(self, event):
        stream = self.streams.get(getattr(event, "stream_id", None))
        if isinstance(event, events.RequestReceived):
            self.accept(event.stream_id, dict(event.headers))
        elif isinstance(event, events.ResponseReceived):
            stream.headers = dict(event.headers)
            stream.status = int(stream.headers[":status"])
            if stream.wants_websocket and stream.status == 200:
                answer = stream.headers.get(EXTENSIONS)
                if answer:
                    stream.deflate.finalize(answer)
                stream.open(ConnectionType.CLIENT, [stream.deflate] if answer else [])
        elif isinstance(event, events.DataReceived):
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            stream.receive(event.data, self.is_server)
        elif isinstance(event, events.StreamEnded):
            stream.is_ended = True
        elif isinstance(event, events.StreamReset):
            stream.reset = event.error_code

    def accept(self, number, headers):
        assert (headers[":method"], headers[":protocol"]) == ("CONNECT", "websocket"), headers
        assert headers[":scheme"] in ("http", "https") and headers["sec-websocket-version"] == "13", headers
        assert "sec-websocket-key" not in headers and "connection" not in headers, headers
        stream = self.streams[number] = Stream(self, number)
        answer = [(":status", "200")]
        offer = headers.get(EXTENSIONS, "")
        extensions = []
        if offer.startswith("permessage-deflate"):
            # It has no notion of an offer that says only that it could be limited.
            accepted = stream.deflate.accept(offer)
            if accepted is not None:
                answer.append((EXTENSIONS, "; ".join(filter(None, ["permessage-deflate", accepted]))))
                extensions = [stream.deflate]
        if "sec-websocket-protocol" in headers:
            answer.append(("sec-websocket-protocol", headers["sec-websocket-protocol"].split(",")[0].strip()))
        self.h2.send_headers(number, answer)
        stream.open(ConnectionType.SERVER, extensions)

    # As client.

    def ask(self, path, protocol="websocket", method="CONNECT", more=()):
        number = self.h2.get_next_available_stream_id()
        stream = self.streams[number] = Stream(self, number)
        stream.wants_websocket = protocol == "websocket"
        headers = [(":method", method), (":authority", "127.0.0.1")]
        if path is not None:
            headers += [(":scheme", "http"), (":path", path)]
        if protocol:
            headers += [(":protocol", protocol), ("sec-websocket-version", "13"), ("origin", "http://127.0.0.1")]
        self.h2.send_headers(number, headers + list(more), end_stream=method == "GET")
        return stream

    def until(self, what, condition):
        while not condition():
            if not self.turn():
                sys.exit(f"{what}: the connection ended")


def serve(tcp):
    peer = Peer(tcp, True)
    while peer.turn():
        pass


def converse(address):
    host, port = address.split(":")
    tcp = socket.create_connection((host, int(port)), 20)
    peer = Peer(tcp, False)
    settings = peer.h2.remote_settings
    peer.until("the setting", lambda: settings.get(SettingCodes.ENABLE_CONNECT_PROTOCOL) == 1)

    offer = [(EXTENSIONS, f"permessage-deflate; {PerMessageDeflate().offer()}".rstrip("; "))]
    echoes = [peer.ask("/frag/1000" if n == 4 else "/", more=offer if n % 2 else ()) for n in range(6)]
    page, missing = peer.ask("/", None, "GET"), peer.ask("/nowhere", None, "GET")
    closing, refusing = peer.ask("/close/4321/that%20is%20all"), peer.ask("/reject/403")
    info, pushing, aborting = peer.ask("/info", more=[("x-one", "1")]), peer.ask("/push/100/20000"), peer.ask("/abort")
    other, tunnel = peer.ask("/", "connect-udp"), peer.ask(None, None)

    text = "".join(f"{n}: Grüße, 世界 👋\n" for n in range(50_000))
    random = bytearray()
    while len(random) < 1 << 20:
        random += zlib.compress(bytes([len(random) % 251]) * 9 + bytes(random[-200:]))
    said = ["", "short", text, b"", bytes(range(256)), bytes(random)]
    for n, stream in enumerate(echoes):
        peer.until("an echo opens", lambda: stream.ws)
        assert (EXTENSIONS in stream.headers) == (n % 2 == 1), stream.headers
    for message in said:
        for stream in echoes:
            stream.send(Message(data=message))
    for stream in echoes:
        stream.send(Ping(payload=b"between"))
    for n, stream in enumerate(echoes):
        peer.until("the echoes", lambda: len(stream.messages) == len(said) and stream.pongs)
        assert stream.messages == said, f"echo {n} is not the same"
        assert stream.pongs == [b"between"], stream.pongs
    for n, stream in enumerate(echoes):
        stream.send(CloseConnection(code=4000 + n, reason="done"))
    for n, stream in enumerate(echoes):
        peer.until("the end of an echo", lambda: stream.is_ended and stream.ws is None)
        assert stream.close == (4000 + n, ""), stream.close

    peer.until("the page", lambda: page.is_ended and missing.is_ended)
    assert page.status == 200 and b"<title>sockless testbed</title>" in page.body, page.status
    assert int(page.headers["content-length"]) == len(page.body), page.headers
    assert missing.status == 404, missing.status
    peer.until("the Close", lambda: closing.is_ended and closing.ws is None)
    assert closing.close == (4321, "that is all"), closing.close
    peer.until("the refusal", lambda: refusing.is_ended)
    assert refusing.status == 403 and refusing.body == b"This path refuses.\n", refusing.status
    peer.until("what it was asked", lambda: info.messages)
    assert '"version":"2"' in info.messages[0] and '"x-one":"1"' in info.messages[0], info.messages
    peer.until("what is pushed", lambda: len(pushing.messages) == 101)
    assert pushing.messages == [bytes(20000)] * 100 + ["end 100"]
    peer.until("the reset", lambda: aborting.reset is not None)
    assert (aborting.status, aborting.reset) == (200, ErrorCodes.CANCEL), (aborting.status, aborting.reset)
    peer.until("the other protocol", lambda: other.status is not None)
    assert other.status == 501, other.status
    peer.until("the tunnel", lambda: tunnel.status is not None or tunnel.reset is not None)
    assert tunnel.reset is not None or tunnel.status >= 400, tunnel.status
    # All of that, and the connection goes on.
    last = peer.ask("/")
    peer.until("one more", lambda: last.ws)
    last.send(Message(data="still there"))
    peer.until("its echo", lambda: last.messages == ["still there"])


def main():
    if len(sys.argv) > 1:
        return converse(sys.argv[1])
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    while True:
        tcp, _ = listener.accept()
        threading.Thread(target=serve, args=[tcp], daemon=True).start()


main()
