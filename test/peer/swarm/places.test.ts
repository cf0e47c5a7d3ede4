/** Ten machines take all places that a seed has for those who come, on real UDP sockets: an eleventh is let in. */
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { staticMetadata, staticSwarm } from '../../../peer/swarm/static-swarm.js';
import type { Channel } from '../../../protocol/ppspp/channel.js';
import { ChunkSet } from '../../../protocol/ppspp/chunk-set.js';
import { Endpoint, MAX_INCOMING } from '../../../protocol/ppspp/endpoint.js';
import { MAX_HALF_OPEN_PER_ADDRESS } from '../../../protocol/ppspp/gate.js';
import { HashTree } from '../../../protocol/ppspp/hash-tree.js';
import { patientClock } from '../../support/patient-clock.js';
import { spawnCommand } from '../../support/spawn-command.js';
import { tempFolder } from '../../support/temp-folder.js';
import { type Teardown, until } from '../../support/until.js';

const MACHINES = 10;

/** Opens so many channels from its own address to that port here, and says nothing more. */
async function occupy(t: Teardown, from: string, port: number, root: Uint8Array, channels: number) {
  const metadata = staticMetadata(root, 'sha256', 1_024);
  const source = { read: () => undefined };
  const swarm = staticSwarm({ metadata, tree: new HashTree({ root }), have: new ChunkSet(), source });
  const endpoint = new Endpoint({ random: randomBytes, unixOffsetMs: 0 });
  const socket = createSocket('udp4').bind(0, from);
  await once(socket, 'listening');
  t.teardown(() => socket.close());
  const flush = (): void => {
    for (const { to, datagram } of endpoint.transmit(patientClock.now()))
      socket.send(datagram, to.port, to.address);
  };
  socket.on('message', (datagram, { address, port }) => {
    endpoint.receive(datagram, { address, port }, patientClock.now());
    flush();
  });
  const dialled: Channel[] = [];
  while (dialled.length < channels) {
    for (let half = 1; half < MAX_HALF_OPEN_PER_ADDRESS && dialled.length < channels; half += 1)
      dialled.push(endpoint.dial(swarm, { address: '127.0.0.1', port }, patientClock.now())!);
    flush();
    await until(`${from} is let in`, () => dialled.every(({ state }) => state === 'open'));
  }
  return dialled;
}

t.test('who has fewer places than another gets one of that other’s', async t => {
  const folder = await tempFolder(t);
  const path = join(folder, 'content');
  writeFileSync(path, randomBytes(10_000));
  const seed = await spawnCommand(t, 'tsp-peer', ['swarm', 'seed', path, '--listen', '127.0.0.1:0']);
  const { port } = await seed.ready();
  const id = seed.lines[0]!.split(' ')[0]!;
  const held: Channel[] = [];
  for (let i = 0; i < MACHINES; i += 1)
    held.push(
      ...(await occupy(t, `127.0.1.${1 + i}`, port!, Buffer.from(id, 'hex'), MAX_INCOMING / MACHINES)),
    );
  t.equal(held.length, MAX_INCOMING);
  const out = join(folder, 'out');
  const words = ['swarm', 'get', id, '-o', out, '--peer', `127.0.0.1:${port}`];
  const getter = await spawnCommand(t, 'tsp-peer', words);
  t.equal(await getter.exitCode(), 0, getter.stderr);
  t.ok(readFileSync(out).equals(readFileSync(path)));
  await until('who made room was told', () => held.some(({ state }) => state === 'ended'));
  t.equal(held.filter(({ state }) => state === 'open').length, MAX_INCOMING - 1, 'the others stay');
});
