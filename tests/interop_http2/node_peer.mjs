// How does Node's http2 carry WebSockets, as server and as client? Their frames are those of the npm package ws.
//
// node_peer.mjs DIRECTORY          listens, and its first line says where; whatever comes on a stream is echoed
// node_peer.mjs DIRECTORY ADDRESS  asks examples/testbed for several WebSockets and other things on one connection, at the
//                                  same time, and is silent if all is as it should be
//
// ws is found in DIRECTORY. It takes any duplex stream for its socket, once it is told to.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import { createRequire } from 'node:module';

const [, , directory, address] = process.argv;
const require = createRequire(`${directory}/`);
const { WebSocket } = require('ws');
const PerMessageDeflate = require(`${directory}/node_modules/ws/lib/permessage-deflate.js`);
const { parse, format } = require(`${directory}/node_modules/ws/lib/extension.js`);

const EXTENSIONS = 'sec-websocket-extensions';
const { NGHTTP2_CANCEL } = http2.constants;

function websocket(stream, isServer, deflate) {
  const socket = new WebSocket(null, undefined, { autoPong: true, closeTimeout: 30_000 });
  socket._isServer = isServer;
  if (deflate) socket._extensions['permessage-deflate'] = deflate;
  socket.setSocket(stream, Buffer.alloc(0), { maxPayload: 16 << 20, skipUTF8Validation: false, allowSynchronousEvents: true });
  return socket;
}

function listen() {
  const server = http2.createServer({ settings: { enableConnectProtocol: true } });
  server.on('stream', (stream, headers) => {
    assert.equal(headers[':method'], 'CONNECT');
    assert.equal(headers[':protocol'], 'websocket');
    const answer = { ':status': 200 };
    let deflate = null;
    if (headers[EXTENSIONS]) {
      const offers = parse(headers[EXTENSIONS])['permessage-deflate'];
      deflate = new PerMessageDeflate({ threshold: 0, isServer: true, maxPayload: 16 << 20 });
      deflate.accept(offers);
      answer[EXTENSIONS] = format({ 'permessage-deflate': [deflate.params] });
    }
    stream.respond(answer);
    const socket = websocket(stream, true, deflate);
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
    socket.on('error', (error) => console.error(error));
  });
  server.listen(0, '127.0.0.1', () => console.log(server.address().port));
  process.stdin.resume().on('end', () => process.exit());
}

async function converse() {
  const session = http2.connect(`http://${address}`);
  const [settings] = await once(session, 'remoteSettings');
  assert.equal(settings.enableConnectProtocol, true);

  const ask = (path, more = {}) =>
    session.request(
      { ':method': 'CONNECT', ':protocol': 'websocket', ':path': path, 'sec-websocket-version': '13', ...more },
      { endStream: false },
    );
  const text = Array.from({ length: 50_000 }, (_, n) => `${n}: Grüße, 世界 👋\n`).join('');
  const random = Buffer.from(Uint32Array.from({ length: 1 << 18 }, (_, n) => Math.imul(n, 2654435761) ^ (n << 7)).buffer);
  const said = ['', 'short', text, Buffer.alloc(0), Buffer.from('00ff', 'hex'), random];

  async function echo(path, isCompressed, code) {
    const deflate = new PerMessageDeflate({ threshold: 0, isServer: false, maxPayload: 16 << 20 });
    const stream = ask(path, isCompressed ? { [EXTENSIONS]: format({ 'permessage-deflate': deflate.offer() }) } : {});
    const [headers] = await once(stream, 'response');
    assert.equal(headers[':status'], 200);
    assert.equal(EXTENSIONS in headers, isCompressed);
    if (isCompressed) deflate.accept(parse(headers[EXTENSIONS])['permessage-deflate']);
    const socket = websocket(stream, false, isCompressed ? deflate : null);
    const heard = [];
    socket.on('message', (data, isBinary) => heard.push(isBinary ? data : data.toString()));
    const pong = once(socket, 'pong');
    for (const message of said) socket.send(message);
    socket.ping('between');
    assert.equal((await pong)[0].toString(), 'between');
    while (heard.length < said.length) await once(socket, 'message');
    for (const [n, message] of said.entries()) {
      assert.ok(typeof message === 'string' ? message === heard[n] : message.equals(heard[n]), `message ${n} of ${path}`);
    }
    socket.close(code, 'done');
    assert.equal((await once(socket, 'close'))[0], code);
    assert.equal(stream.rstCode, 0);
  }

  async function body(stream) {
    const [headers] = await once(stream, 'response');
    let text = '';
    stream.setEncoding('utf8').on('data', (part) => (text += part));
    await once(stream, 'end');
    return [headers[':status'], text];
  }

  async function closed(path) {
    const stream = ask(path);
    assert.equal((await once(stream, 'response'))[0][':status'], 200);
    const [code, reason] = await once(websocket(stream, false), 'close');
    return [code, reason.toString()];
  }

  async function pushed() {
    const stream = ask('/push/100/20000');
    await once(stream, 'response');
    const socket = websocket(stream, false);
    let count = 0;
    return new Promise((resolve) => {
      socket.on('message', (data, isBinary) => {
        if (!isBinary) return resolve([count, data.toString()]);
        assert.equal(data.length, 20000);
        count += 1;
      });
    });
  }

  async function aborted() {
    const stream = ask('/abort');
    stream.on('error', () => {});
    assert.equal((await once(stream, 'response'))[0][':status'], 200);
    await new Promise((resolve) => stream.on('close', resolve));
    return stream.rstCode;
  }

  const refusal = ask('/reject/403');
  const [, , , page, refused, close, push, abort] = await Promise.all([
    echo('/', false, 4000),
    echo('/', true, 4001),
    echo('/frag/1000', true, 1000),
    body(session.request({ ':path': '/' })),
    body(refusal),
    closed('/close/4321/that%20is%20all'),
    pushed(),
    aborted(),
  ]);
  assert.equal(page[0], 200);
  assert.ok(page[1].includes('<title>sockless testbed</title>'));
  assert.deepEqual(refused, [403, 'This path refuses.\n']);
  assert.deepEqual(close, [4321, 'that is all']);
  assert.deepEqual(push, [100, 'end 100']);
  assert.equal(abort, NGHTTP2_CANCEL);
  // All of that, and the connection goes on.
  await echo('/', true, 3000);
  session.destroy();
}

if (address) await converse();
else listen();
