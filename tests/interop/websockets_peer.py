"""How does the PyPI package websockets talk, as server and as client?

It listens, and its first line says where. Each line on stdin is a URL to connect to. Whoever connects, and to whomever,
the query of the URL says which parameters of permessage-deflate this side is to have; every message is sent back, each
third of them in fragments; "bye" is answered with a Close; and a line on stdout tells how the connection ended and what
was agreed on. It is over with stdin.
"""

import asyncio
import logging
import sys
from urllib.parse import parse_qsl, urlsplit

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import InvalidHandshake
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, ServerPerMessageDeflateFactory

# Nothing but what is asked for: no extension of its own accord, no Pings, no proxy from the environment.
QUIET = {"compression": None, "ping_interval": None}


def wished(url):
    """The arguments of a factory: what the query names, and nothing where it is silent."""
    value = {"true": True}
    named = {name: value.get(text) or int(text) for name, text in parse_qsl(urlsplit(url).query)}
    return {"client_max_window_bits": None, **named}


def offered(connection, request):
    parameters = wished(request.path)
    # A server cannot wish for what only a client can say: that it could be limited.
    if parameters["client_max_window_bits"] is True:
        parameters["client_max_window_bits"] = None
    connection.protocol.available_extensions = [ServerPerMessageDeflateFactory(**parameters)]


async def converse(connection, is_server):
    index = 0
    async for message in connection:
        if message == "bye":
            await connection.close()
        elif index % 3 == 2:
            is_text = isinstance(message, str)
            data = message.encode() if is_text else message
            # Text is cut wherever it comes, in the middle of characters too.
            third = len(data) // 3
            await connection.send([data[:third], data[third : 2 * third], data[2 * third :]], text=is_text)
        else:
            await connection.send(message)
        index += 1
    await connection.wait_closed()
    print(connection.close_code, agreed(connection, is_server), flush=True)


def agreed(connection, is_server):
    for deflate in connection.protocol.extensions:
        local = (deflate.local_no_context_takeover, deflate.local_max_window_bits)
        remote = (deflate.remote_no_context_takeover, deflate.remote_max_window_bits)
        sides = {"server": local if is_server else remote, "client": remote if is_server else local}
        resets = [f"{side}_no_context_takeover" for side, (is_reset, _) in sides.items() if is_reset]
        bits = [f"{side}_max_window_bits={bits}" for side, (_, bits) in sides.items() if bits < 15]
        return "; ".join([deflate.name, *resets, *bits])
    return "plain"


async def main():
    logging.disable()
    handler = lambda connection: converse(connection, True)
    async with serve(handler, "127.0.0.1", 0, process_request=offered, **QUIET) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        while url := (await asyncio.to_thread(sys.stdin.readline)).strip():
            try:
                factory = ClientPerMessageDeflateFactory(**wished(url))
                async with connect(url, extensions=[factory], proxy=None, **QUIET) as connection:
                    await converse(connection, False)
            except InvalidHandshake as error:
                print(f"refused: {error}", flush=True)


asyncio.run(main())
