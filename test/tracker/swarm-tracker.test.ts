/** The tracker of swarms: PyPPSPP's clients byte for byte, bad guests, limits, and two of our commands that meet there. */
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { SwarmTrackerLink } from '../../peer/swarm/swarm-tracker-link.js';
import type { PeerAddress } from '../../protocol/ppspp/gate.js';
import { DatagramFramer } from '../../protocol/ppspp/stream-framing.js';
import { MAX_TRACKER_MESSAGE_BYTES, type TrackerRequest } from '../../protocol/ppspp/tracker-messages.js';
import { SwarmServer } from '../../tracker/swarm-server.js';
import {
  MAX_PEERS_A_SWARM,
  MAX_SWARMS,
  MAX_SWARMS_A_MEMBER,
  placeOf,
  SwarmTable,
} from '../../tracker/swarm-table.js';
import { Chance } from '../simulation/chance.js';
import { patientClock } from '../support/patient-clock.js';
import { RecordingLogger } from '../support/recording-logger.js';
import { spawnCommand } from '../support/spawn-command.js';
import { tempFolder } from '../support/temp-folder.js';
import { type Teardown, until } from '../support/until.js';
import { VirtualClock } from '../support/virtual-clock.js';

const ID = '771baa14ad60d82025d037c350f26942bd5b7f5a';

async function server(t: Teardown, options: { clock?: VirtualClock; maxPerAddress?: number } = {}) {
  const swarms = new SwarmServer({
    host: '127.0.0.1',
    port: 0,
    maxPerAddress: Number.POSITIVE_INFINITY,
    maxConnections: 1_000,
    clock: patientClock,
    logger: new RecordingLogger(),
    ...options,
  });
  t.teardown(() => swarms.stop());
  return (await swarms.start()).port;
}

/** As Python's `json.dumps` writes it, with its length. */
const frame = (text: string): Buffer => {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(text.length);
  return Buffer.concat([length, Buffer.from(text)]);
};

/** A connection that says bytes and keeps what it hears, message by message. */
async function client(t: Teardown, port: number) {
  const socket = connect(port, '127.0.0.1');
  t.teardown(() => socket.destroy());
  socket.on('error', () => {});
  const framer = new DatagramFramer();
  const heard: unknown[] = [];
  socket.on('data', (bytes: Buffer) => {
    framer.push(bytes);
    for (let text = framer.next(); text !== undefined; text = framer.next())
      heard.push(JSON.parse(Buffer.from(text).toString()));
  });
  const closed = once(socket, 'close');
  await once(socket, 'connect');
  const say = (text: string): boolean => socket.write(frame(text));
  const hears = async (count: number): Promise<unknown[]> => {
    await until(`${count} messages`, () => heard.length >= count);
    return heard.splice(0);
  };
  return { socket, say, hears, heard, closed };
}

t.test('PyPPSPP registers, asks, is told of others, and leaves', async t => {
  const port = await server(t);
  const first = await client(t, port);
  const second = await client(t, port);
  first.say(`{"type": "register", "swarm_id": "${ID}", "endpoint": ["192.168.1.7", 6778]}`);
  first.say(`{"type": "get_peers", "swarm_id": "${ID}"}`);
  t.same(await first.hears(1), [{ swarm_id: ID, type: 'other_peers', details: [] }], 'not itself');
  second.say(`{"type": "register", "swarm_id": "${ID.toUpperCase()}", "endpoint": ["127.0.0.1", 6779]}`);
  t.same(await first.hears(1), [{ swarm_id: ID, type: 'new_node', endpoint: ['127.0.0.1', 6779] }]);
  second.say(`{"type": "get_peers", "swarm_id": "${ID}"}`);
  t.same(await second.hears(1), [{ swarm_id: ID, type: 'other_peers', details: [['192.168.1.7', 6778]] }]);
  second.say(`{"type": "unregister", "swarm_id": "${ID}", "endpoint": ["127.0.0.1", 6779]}`);
  t.same(await first.hears(1), [{ swarm_id: ID, type: 'remove_node', endpoint: ['127.0.0.1', 6779] }]);
  second.say(`{"type": "register", "swarm_id": "${ID}", "endpoint": ["127.0.0.1", 6779]}`);
  second.say(`{"type": "register", "swarm_id": "${ID}", "endpoint": ["127.0.0.1", 6780]}`);
  t.match(await first.hears(3), [
    { type: 'new_node' },
    { type: 'remove_node' },
    { endpoint: ['127.0.0.1', 6780] },
  ]);
  second.socket.destroy();
  t.match(await first.hears(1), [{ type: 'remove_node', endpoint: ['127.0.0.1', 6780] }], 'nor who is gone');
});

t.test('bad guests leave alone, the rest stays', async t => {
  const port = await server(t);
  const good = await client(t, port);
  good.say(`{"type": "register", "swarm_id": "${ID}", "endpoint": ["127.0.0.1", 6778]}`);
  const endpoint = '"endpoint": ["127.0.0.1", 6778]';
  for (const bad of [
    Buffer.from('GET / HTTP/1.1\r\n\r\n'),
    frame('not JSON'),
    frame('[1,2,3]'),
    frame('null'),
    frame(`{"type": "register", "swarm_id": "xyz", ${endpoint}}`),
    frame(`{"type": "register", "swarm_id": "", ${endpoint}}`),
    frame(`{"type": "register", "swarm_id": "${ID}", "endpoint": ["music.example", 6778]}`),
    frame(`{"type": "register", "swarm_id": "${ID}", "endpoint": ["127.0.0.1", 70000]}`),
    frame(`{"type": "register", "swarm_id": "${ID}"}`),
    Buffer.concat(Array.from({ length: 300 }, () => frame(`{"type": "get_peers", "swarm_id": "${ID}"}`))),
    Buffer.from([0, 0, 0x7f, 0xff]),
  ]) {
    const guest = await client(t, port);
    guest.socket.write(bad);
    await guest.closed;
  }
  good.say('{"type": "dance", "swarm_id": 7}');
  good.say(`{"type": "get_peers", "swarm_id": "${ID}"}`);
  t.match(
    await good.hears(1),
    [{ type: 'other_peers', details: [] }],
    'a word that it does not know is passed over',
  );
});

t.test('who says nothing does not stay, and one address has its share', async t => {
  const clock = new VirtualClock();
  const port = await server(t, { clock, maxPerAddress: 2 });
  const silent = await client(t, port);
  const slow = await client(t, port);
  slow.socket.write(frame('{"type": "get_peers"').subarray(0, 9));
  const third = await client(t, port);
  await third.closed;
  await until('both are in', () => clock.pending === 2);
  clock.advance(5_000);
  await Promise.all([silent.closed, slow.closed]);
  const fine = await client(t, port);
  fine.say(`{"type": "get_peers", "swarm_id": "${ID}"}`);
  await fine.hears(1);
  clock.advance(60_000);
  fine.say(`{"type": "get_peers", "swarm_id": "${ID}"}`);
  t.equal((await fine.hears(1)).length, 1);
});

t.test('one address has others told only so much', async t => {
  const port = await server(t, { maxPerAddress: 64 });
  const register = (at: number) =>
    frame(`{"type": "register", "swarm_id": "${ID}", "endpoint": ["127.0.0.1", ${at}]}`);
  const members = await Promise.all(Array.from({ length: 40 }, () => client(t, port)));
  for (const { socket } of members) socket.write(register(2_000));
  // Each that moves is told to all others, twice.
  const moves = Buffer.concat(Array.from({ length: 180 }, (_, i) => register(3_000 + i)));
  for (const { socket } of members) socket.write(moves);
  await until('it is let go', () => members.some(({ socket }) => socket.destroyed));
  t.ok(members.every(({ heard }) => heard.length < 10_000));
});

t.test('a table is bounded, and sends nobody anywhere else', async t => {
  const register = (swarm_id: string, port = 6_778): TrackerRequest => ({
    type: 'register',
    swarm_id,
    endpoint: ['192.0.2.7', port],
  });
  const table = new SwarmTable<object>();
  const one = {};
  for (let i = 0; i < MAX_SWARMS_A_MEMBER + 5; i += 1) table.heard(one, '192.0.2.7', register(`${i}`));
  t.equal(table.swarms, MAX_SWARMS_A_MEMBER);
  for (let i = 0; i < MAX_SWARMS + 5; i += 1) table.heard({}, '192.0.2.7', register(`more ${i}`));
  t.equal(table.swarms, MAX_SWARMS);
  let told = 0;
  for (let i = 0; i < MAX_PEERS_A_SWARM + 5; i += 1)
    told = table.heard({}, '192.0.2.8', register('0')).length;
  t.equal(told, 0, 'a full swarm takes no more');
  const [answer] = table.heard(one, '192.0.2.7', { type: 'get_peers', swarm_id: '0' });
  t.equal((answer!.news as { details: readonly unknown[] }).details.length, 200);
  t.same(table.heard(one, '192.0.2.7', register('0')), [], 'again, the same');
  t.equal(table.left(one).length, MAX_PEERS_A_SWARM - 1);
  t.same(table.left(one), []);
  t.same(
    table.heard(one, '192.0.2.7', { type: 'unregister', swarm_id: '0', endpoint: ['192.0.2.7', 6_778] }),
    [],
  );
  const at = (address: string, port = 6_778): PeerAddress => ({ address, port });
  t.same(placeOf(at('198.51.100.1'), '192.0.2.7'), at('192.0.2.7'));
  t.same(placeOf(at('10.0.0.5'), '192.0.2.7'), at('192.0.2.7'));
  t.same(placeOf(at('10.0.0.5'), '10.0.0.6'), at('10.0.0.5'));
  t.same(placeOf(at('10.0.0.5'), '127.0.0.1'), at('10.0.0.5'), 'a machine knows its own addresses');
  t.same(placeOf(at('198.51.100.1'), '127.0.0.1'), at('127.0.0.1'));
  t.equal(placeOf(at('192.0.2.7', 22), '192.0.2.7'), undefined);
});

/** Our end of the line, and a tracker that says nothing by itself. */
async function ourEnd(t: Teardown) {
  const sockets: Socket[] = [];
  const said: Buffer[] = [];
  const tracker = createServer(socket => {
    sockets.push(socket);
    socket.on('error', () => {}).on('data', (bytes: Buffer) => said.push(bytes));
  }).listen(0, '127.0.0.1');
  await once(tracker, 'listening');
  t.teardown(() => tracker.close());
  const { port } = tracker.address() as { port: number };
  const clock = new VirtualClock();
  const troubles: string[] = [];
  const linkTo = (host: string) =>
    new SwarmTrackerLink({
      tracker: { host, port },
      port: 6_778,
      clock,
      onTrouble: ({ message }) => troubles.push(message),
      randomUnit: () => 0,
    });
  const comes = (count: number) =>
    until(`it comes for the ${count}. time`, () => {
      clock.advance(1_000);
      return sockets.length === count;
    });
  return { sockets, said, port, clock, troubles, linkTo, comes, link: linkTo('127.0.0.1') };
}

t.test('our end says what PyPPSPP does, believes little, and comes back', async t => {
  const { sockets, said, clock, link } = await ourEnd(t);
  const heard: PeerAddress[] = [];
  const hearOf = (peers: readonly PeerAddress[]): void => void heard.push(...peers);
  link.start();
  link.add({ swarm: { metadata: { swarmId: Buffer.from(ID, 'hex') } }, hearOf });
  const introduction = Buffer.concat([
    frame(`{"type":"register","swarm_id":"${ID}","endpoint":["127.0.0.1",6778]}`),
    frame(`{"type":"get_peers","swarm_id":"${ID}"}`),
  ]);
  const hears = (bytes: Buffer) => until('it says so', () => Buffer.concat(said).equals(bytes));
  await hears(introduction);
  sockets[0]!.write(
    frame(`{"swarm_id": "${ID}", "type": "other_peers", "details": [["192.0.2.9", 6778], ["x", 1]]}`),
  );
  sockets[0]!.write(
    frame(`{"swarm_id": "${ID}", "type": "new_node", "endpoint": ["::ffff:192.0.2.8", 6779]}`),
  );
  sockets[0]!.write(frame(`{"swarm_id": "${ID}", "type": "remove_node", "endpoint": ["192.0.2.8", 6779]}`));
  sockets[0]!.write(frame(`{"swarm_id": "ab", "type": "new_node", "endpoint": ["192.0.2.1", 6779]}`));
  await until('two peers', () => heard.length === 2);
  t.same(heard, [
    { address: '192.0.2.9', port: 6_778 },
    { address: '192.0.2.8', port: 6_779 },
  ]);
  said.length = 0;
  clock.advance(60_000);
  await hears(frame(`{"type":"get_peers","swarm_id":"${ID}"}`));
  said.length = 0;
  sockets[0]!.write(Buffer.alloc(4, 0xff));
  await once(sockets[0]!, 'close');
  await until('it waits', () => clock.pending === 1);
  clock.advance(1_000);
  await hears(introduction);
  said.length = 0;
  link.stop();
  await hears(frame(`{"type":"unregister","swarm_id":"${ID}","endpoint":["127.0.0.1",6778]}`));
  t.ok(MAX_TRACKER_MESSAGE_BYTES > introduction.length);
});

t.test('that a tracker of swarms is of no use is said once, until it is', async t => {
  const { sockets, port, troubles, linkTo, comes, link } = await ourEnd(t);
  link.start();
  await comes(1);
  sockets[0]!.write(Buffer.alloc(4, 0xff));
  await comes(2);
  sockets[1]!.end();
  await comes(3);
  t.same(troubles, [`127.0.0.1:${port} is no tracker of swarms`]);
  sockets[2]!.end(frame(`{"swarm_id": "${ID}", "type": "other_peers", "details": []}`));
  await until('it spoke, and is gone', () => troubles.length === 2);
  t.equal(troubles[1], `127.0.0.1:${port} ended the connection`);
  link.stop();
  const nowhere = linkTo('no-such-host.invalid');
  nowhere.start();
  await until('that one is nowhere', () => troubles.length === 3);
  t.match(troubles[2], /^no-such-host\.invalid:\d+ (is no host|could not be looked up)/);
  nowhere.stop();
});

t.test('a tracker of swarms that takes what is asked, and is silent, is told of and tried again', async t => {
  const { port, clock, troubles, comes, link } = await ourEnd(t);
  link.start();
  await comes(1);
  clock.advance(60_000);
  t.same(troubles, [], 'while there is nothing to be asked');
  link.add({ swarm: { metadata: { swarmId: Buffer.from(ID, 'hex') } }, hearOf: () => {} });
  await comes(2);
  t.same(troubles, [`127.0.0.1:${port} does not answer`]);
  link.stop();
});

t.test('two commands meet at a third', async t => {
  const tracker = await spawnCommand(t, 'tsp-tracker', [
    '--host',
    '127.0.0.1',
    '--port',
    '0',
    '--swarm-port',
    '0',
    '--json',
  ]);
  const [, port] = await tracker.says(/"swarms-ready".*"port":(\d+)/);
  const there = ['--tracker', `127.0.0.1:${port}`, '--listen', '127.0.0.1:0'];
  const folder = await tempFolder(t);
  const content = new Chance(5).bytes(300_000);
  writeFileSync(join(folder, 'content'), content);
  const seed = await spawnCommand(t, 'tsp-peer', ['swarm', 'seed', join(folder, 'content'), ...there]);
  await seed.ready();
  const out = join(folder, 'out');
  const get = await spawnCommand(t, 'tsp-peer', [
    'swarm',
    'get',
    seed.lines[0]!.split(' ')[0]!,
    '-o',
    out,
    ...there,
  ]);
  t.equal(await get.exitCode(), 0, 'it was told of the other');
  t.ok(Buffer.compare(readFileSync(out), content) === 0);
  t.equal(await tracker.end(), 0);
});

t.test('a file that changes while it is given is taken off the list', async t => {
  const port = await server(t);
  const path = join(await tempFolder(t), 'content');
  writeFileSync(path, new Chance(7).bytes(30_000));
  const tracker = ['--tracker', `127.0.0.1:${port}`];
  const seed = await spawnCommand(t, 'tsp-peer', [
    'swarm',
    'seed',
    path,
    '--listen',
    '127.0.0.1:0',
    ...tracker,
  ]);
  const at = await seed.ready();
  const id = seed.lines[0]!.split(' ')[0]!;
  const other = await client(t, port);
  other.say(`{"type": "register", "swarm_id": "${id}", "endpoint": ["127.0.0.1", 6779]}`);
  const isListed = async (): Promise<boolean> => {
    other.say(`{"type": "get_peers", "swarm_id": "${id}"}`);
    return JSON.stringify(await other.hears(1)).includes(`["127.0.0.1",${at.port}]`);
  };
  t.ok(await isListed());
  writeFileSync(path, new Chance(8).bytes(30_000));
  const words = ['swarm', 'get', id, '--peer', `127.0.0.1:${at.port}`, '-o', `${path}.out`];
  const getter = await spawnCommand(t, 'tsp-peer', words);
  await seed.complains(/is not given any more/);
  t.same(await other.hears(1), [{ swarm_id: id, type: 'remove_node', endpoint: ['127.0.0.1', at.port] }]);
  t.notOk(await isListed());
  getter.kill();
  await getter.exited;
});
