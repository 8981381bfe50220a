// How does the npm package ws talk, as server and as client?
//
// It is found in the directory that the first argument names. It does as websockets_peer.py does: see there.

import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const { WebSocket, WebSocketServer } = createRequire(`${process.argv[2]}/`)('ws');

const NAMES = {
  server_no_context_takeover: 'serverNoContextTakeover',
  client_no_context_takeover: 'clientNoContextTakeover',
  server_max_window_bits: 'serverMaxWindowBits',
  client_max_window_bits: 'clientMaxWindowBits',
};

// The options of perMessageDeflate: what the query names. Short messages are compressed too.
function wished(url) {
  const options = { threshold: 0 };
  for (const [name, value] of new URL(url, 'ws://localhost').searchParams) {
    options[NAMES[name]] = value === 'true' ? true : Number(value);
  }
  return options;
}

function converse(socket) {
  let index = 0;
  let failure = '';
  socket.on('message', (data, isBinary) => {
    if (data.equals(Buffer.from('bye'))) {
      socket.close(1000);
    } else if (index % 3 === 2) {
      // Text is cut wherever it comes, in the middle of characters too.
      const third = Math.floor(data.length / 3);
      socket.send(data.subarray(0, third), { binary: isBinary, fin: false });
      socket.send(data.subarray(third, 2 * third), { fin: false });
      socket.send(data.subarray(2 * third), { fin: true });
    } else {
      socket.send(data, { binary: isBinary });
    }
    index += 1;
  });
  socket.on('error', (error) => {
    failure = `refused: ${error.message}`;
  });
  socket.on('close', (code) => console.log(failure || `${code} ${agreed(socket)}`));
}

function agreed(socket) {
  const deflate = socket._extensions['permessage-deflate'];
  if (!deflate) return 'plain';
  const terms = Object.keys(NAMES).flatMap((name) => {
    const value = deflate.params[name];
    return value === true ? [name] : value < 15 ? [`${name}=${value}`] : [];
  });
  return ['permessage-deflate', ...terms].join('; ');
}

const server = createServer();
server.on('upgrade', (request, socket, head) => {
  const perMessageDeflate = wished(request.url);
  // A server cannot wish for what only a client can say: that it could be limited.
  if (perMessageDeflate.clientMaxWindowBits === true) delete perMessageDeflate.clientMaxWindowBits;
  new WebSocketServer({ noServer: true, perMessageDeflate }).handleUpgrade(request, socket, head, converse);
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));

const lines = createInterface({ input: process.stdin });
lines.on('line', (url) => {
  const perMessageDeflate = { clientMaxWindowBits: false, ...wished(url) };
  converse(new WebSocket(url, { perMessageDeflate }));
});
lines.on('close', () => process.exit());
