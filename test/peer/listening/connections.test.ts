/** Warm connections and the wire under them, on real sockets and a clock that the test moves. */
import { Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import t from 'tap';
import { HostBook } from '../../../peer/listening/choose-host.js';
import {
  type HostConnection,
  HostConnections,
  WARM_FOR_MS,
  WARM_PING_MS,
} from '../../../peer/listening/connections.js';
import { DIAL_MS, WireConnection } from '../../../peer/wire/wire-connection.js';
import { encode } from '../../../protocol/tsp/codec.js';
import { DRAIN_MS, HEADER_DEADLINE_MS, MESSAGE_TYPE, PIECE_BYTES } from '../../../protocol/tsp/constants.js';
import type { DownloadEvent } from '../../../protocol/tsp/download.js';
import type { FrameEvent } from '../../../protocol/tsp/framing.js';
import { RecordingLogger } from '../../support/recording-logger.js';
import { listenTsp, type TspClient } from '../../support/tsp-client.js';
import { type Teardown, until, within } from '../../support/until.js';
import { VirtualClock } from '../../support/virtual-clock.js';
import { failAfter, scriptedHost, testSong } from './scripted-host.js';

function open(t: Teardown) {
  const clock = new VirtualClock(1_000);
  const book = new HostBook(() => 0);
  const logger = new RecordingLogger();
  const connections = new HostConnections({ book, clock, logger });
  t.teardown(() => connections.stop());
  return { clock, book, logger, connections };
}

/** Leases a connection and keeps what it says. */
function hold(connections: HostConnections, host: string) {
  const events: DownloadEvent[] = [];
  const losses: string[] = [];
  const connection: HostConnection = connections.lease(host, {
    event: event => events.push(event),
    lost: why => losses.push(why),
  });
  return { connection, events, losses };
}

t.test('a warm connection is pinged, and closed when nobody needed it for five minutes', async t => {
  const { clock, book, connections } = open(t);
  const host = await scriptedHost(t, []);
  connections.warm([host.address]);
  await until('it stands', () => host.open === 1);
  const pings = (): number => host.asked.filter(message => message.type === 'PING').length;
  for (let passed = 0; passed < WARM_FOR_MS - WARM_PING_MS; passed += WARM_PING_MS / 2) {
    const before = pings();
    await clock.advanceSlowly(WARM_PING_MS / 2);
    if (passed % WARM_PING_MS === WARM_PING_MS / 2) await until('a ping', () => pings() > before);
  }
  t.ok(pings() >= 10, `${pings()} pings`);
  t.equal(host.open, 1);
  await clock.advanceSlowly(2 * WARM_PING_MS);
  await until('it is closed', () => host.open === 0);
  t.same(book.rank(['a stranger', host.address], clock.now()), [host.address, 'a stranger'], 'it was near');
});

t.test('a host that owes a PONG for too long is dropped, and its holder told', async t => {
  const { clock, connections } = open(t);
  let client: TspClient | undefined;
  const { port } = await listenTsp(t, connected => {
    client = connected;
  });
  const { losses } = hold(connections, `127.0.0.1:${port}`);
  await until('it stands', () => client);
  await clock.advanceSlowly(WARM_PING_MS);
  await client!.receive('PING');
  await clock.advanceSlowly(WARM_PING_MS);
  t.match(losses, [/^sent nothing/]);
});

t.test('who does not take the connection in 3 s is not there', async t => {
  const { clock, connections } = open(t);
  const host = await scriptedHost(t, []);
  const { losses } = hold(connections, host.address);
  clock.advance(DIAL_MS);
  t.match(losses, [/did not take the connection within 3 s/]);
});

t.test('why a host is lost is said without its name, for whoever hears it has that', async t => {
  const { connections } = open(t);
  const { port } = await listenTsp(t, client => client.write(Buffer.from('SSH-2.0-OpenSSH\r\n')));
  const { losses } = hold(connections, `127.0.0.1:${port}`);
  await until('it is lost', () => losses.length > 0);
  t.match(losses, [/^is no Torero tracker or host: it says “SSH/]);
});

t.test('what has little left to drain is kept, what has much is closed with STOP', async t => {
  const { connections } = open(t);
  const song = testSong(40 * PIECE_BYTES);
  const host = await scriptedHost(t, [song], { range: () => true });
  const range = (count: number) =>
    ({ question: { type: 'RANGE', song: song.id, offset: 0, count, hash: song.hash }, least: 0 }) as const;
  const first = hold(connections, host.address);
  first.connection.ask([range(PIECE_BYTES)]);
  t.equal(first.connection.owedBytes, PIECE_BYTES);
  connections.giveBack(first.connection);
  const second = hold(connections, host.address);
  t.equal(second.connection, first.connection, 'still warm');
  second.connection.ask([range(20 * PIECE_BYTES)]);
  await until('both are asked', () => host.asked.length === 2);
  connections.giveBack(second.connection);
  t.ok(second.connection.isClosed);
  await until('it heard STOP', () => host.asked.some(message => message.type === 'STOP'));
  t.same(second.losses, [], 'who gave it back hears no more');
});

t.test('what a slow host would still be sending for long is not waited for', async t => {
  const { clock, connections } = open(t);
  const song = testSong(2 * PIECE_BYTES);
  const host = await scriptedHost(t, [song], {
    range: failAfter(1_000, () => {}),
  });
  const range = { type: 'RANGE', song: song.id, offset: 0, count: PIECE_BYTES, hash: song.hash } as const;
  const first = hold(connections, host.address);
  first.connection.ask([{ question: range, least: 0 }]);
  await until('a part of it came', () => first.connection.owedBytes === PIECE_BYTES - 1_000);
  clock.advance(300);
  connections.giveBack(first.connection);
  const second = hold(connections, host.address);
  t.equal(second.connection, first.connection, 'too early to tell');
  clock.advance(300);
  connections.giveBack(second.connection);
  t.ok(second.connection.isClosed, '1,000 bytes in 0.6 s, and 64,536 to come');
});

t.test('a host’s PING is answered, its errors are told, its nonsense is told off', async t => {
  const { connections, logger } = open(t);
  let client: TspClient | undefined;
  const { port } = await listenTsp(t, connected => {
    client = connected;
  });
  const { events, losses } = hold(connections, `127.0.0.1:${port}`);
  await until('it stands', () => client);
  client!.send({ type: 'PING', value: 3 });
  t.match(await client!.receive('PONG'), { value: 3 });
  client!.send({ type: 'ERROR', song: 0, error: { code: 'too-many' } });
  await until('the warning', () => events.length === 1);
  client!.send({ type: 'LIST' });
  t.match(await client!.receive('ERROR'), { error: { code: 'bad-message', message: /LIST/ } });
  t.match(losses, [/LIST/]);
  t.match(logger.messages('info'), [/LIST/]);
});

t.test('after a fatal ERROR at most 64 KiB and a second are waited for', async t => {
  const { clock, connections } = open(t);
  const clients: TspClient[] = [];
  const { port } = await listenTsp(t, client => {
    clients.push(client);
  });
  for (const flood of [false, true]) {
    const { losses } = hold(connections, `127.0.0.1:${port}`);
    await until('it stands', () => clients.length === (flood ? 2 : 1));
    const client = clients.at(-1)!;
    client.send({ type: 'LIST' });
    await until('it is told off', () => losses.length === 1);
    if (flood) {
      await client.receive('ERROR');
      const pour = (): void => {
        while (!client.socket.destroyed && client.socket.write(Buffer.alloc(16_384)));
      };
      client.socket.on('drain', pour);
      pour();
    } else {
      await client.receive('ERROR');
      await clock.advanceSlowly(DRAIN_MS);
    }
    client.socket.on('error', () => undefined);
    if (!flood) client.destroy();
    await within('it is closed', client.closed);
  }
});

t.test('who makes us answer and does not listen is not read until it does', async t => {
  const pings = 400_000;
  const { port } = await listenTsp(t, client => {
    client.write(Buffer.concat(new Array(pings).fill(encode({ type: 'PING', value: 1 }))));
  });
  // Nothing that is written leaves before the test says so.
  const untaken: (() => void)[] = [];
  const socket = new Socket();
  let isTaken = false;
  const take = (done: () => void): void => {
    if (isTaken) setImmediate(done);
    else untaken.push(done);
  };
  socket._write = (_chunk, _encoding, done) => take(done);
  socket._writev = (_chunks, done) => take(done);
  let heard = 0;
  const wire = new WireConnection(
    { to: { host: '127.0.0.1', port }, clock: new VirtualClock(), openSocket: () => socket },
    {
      opened: () => undefined,
      heard: () => undefined,
      frame: () => {
        heard += 1;
        wire.send({ type: 'PONG', value: 1 });
      },
      closed: () => undefined,
    },
  );
  wire.open();
  t.teardown(() => wire.close(new Error('the test is over')));
  await until('it is not read any more', () => socket.isPaused());
  const before = heard;
  // The rest lies there: in each of these turns it would be read.
  for (let turn = 0; turn < 100; turn += 1) await nextTurn();
  t.ok(heard === before && heard < pings, `${heard} of ${pings} were heard`);
  isTaken = true;
  for (const done of untaken.splice(0)) done();
  await until('all were heard', () => heard === pings);
});

t.test('a header that drips is cut off, an end inside a message is no end', async t => {
  const clock = new VirtualClock();
  const clients: TspClient[] = [];
  const { port } = await listenTsp(t, client => {
    clients.push(client);
  });
  const wires = async (): Promise<{
    client: TspClient;
    frames: FrameEvent[];
    closed: (Error | undefined)[];
  }> => {
    const frames: FrameEvent[] = [];
    const closed: (Error | undefined)[] = [];
    const wire = new WireConnection(
      { to: { host: '127.0.0.1', port }, clock },
      {
        opened: () => undefined,
        heard: () => undefined,
        frame: event => frames.push(event),
        closed: error => closed.push(error),
      },
    );
    const before = clients.length;
    wire.open();
    t.teardown(() => wire.close(new Error('the test is over')));
    await until('it stands', () => clients.length > before);
    return { client: clients.at(-1)!, frames, closed };
  };
  const drips = await wires();
  drips.client.write(Buffer.from([0x81]));
  await until('a byte came', () => clock.pending > 0);
  await clock.advanceSlowly(HEADER_DEADLINE_MS);
  t.match(drips.closed, [{ code: 'too-slow' }]);

  const cut = await wires();
  cut.client.write(encode({ type: 'PONG', value: 1 }).subarray(0, 3));
  cut.client.end();
  await until('closed', () => cut.closed.length === 1);
  t.match(cut.closed, [{ name: 'TransportError', message: /^ended the connection inside a message$/ }]);

  const fair = await wires();
  fair.client.write(
    Buffer.concat([
      encode({ type: 'SONG_IDS', length: 2 }),
      Buffer.from('ab'),
      encode({ type: 'SONG_IDS', length: 0 }),
      encode({ type: 'PONG', value: 1 }),
    ]),
  );
  fair.client.end();
  await until('closed', () => fair.closed.length === 1);
  t.same(fair.closed, [undefined], 'an end between two messages');
  t.same(
    fair.frames.map(event => event.kind),
    ['stream', 'data', 'end', 'stream', 'end', 'message'],
  );

  const large = await wires();
  large.client.write(Buffer.of(MESSAGE_TYPE.WELCOME, 0, 0, 0, 0, 0, 1, 0, 1));
  await until('closed', () => large.closed.length === 1);
  t.match(large.closed, [{ code: 'too-large' }]);
});
