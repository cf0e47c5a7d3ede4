/**
 * A swarm beside a plain TCP transfer on one narrow cable: real sockets, the kernel's own TCP, one queue for both.
 *
 *     giver ══ hub ══ 8 Mbit/s, a queue of 200 ms ══▶ taker          swarm get alone · TCP beside it · alone again
 *
 * Alone LEDBAT keeps the cable full; where TCP wants it TCP has the larger part, and LEDBAT still moves (RFC 6817 §2.1).
 * It is looked at until that is so: a crowded machine takes longer.
 */
import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { type Cable, joinAt, layCables, type Machine, noNarrowCables } from '../support/cables.js';
import { commandPath, type RunningCommand, spawnProgram } from '../support/spawn-command.js';
import { tempFolder } from '../support/temp-folder.js';
import { until } from '../support/until.js';

/** More than goes over the cable before the deadlines. */
const FILE_BYTES = 100_000_000;
const QUEUE_BYTES = 200_000;
const STRETCH_BYTES = 1_000_000;
const TCP_PORT = 7_000;

/** Gives whoever comes as much as he takes. */
const PLENTY = `require('node:net').createServer(socket => {
  const more = () => { while (socket.write(Buffer.alloc(65_536))); };
  socket.on('drain', more).on('error', () => {});
  more();
}).listen(${TCP_PORT}, () => console.log('up'))`;
const take = (host: string): string => `require('node:net').connect(${TCP_PORT}, '${host}').resume()`;

t.test('a swarm fills a line alone, and makes way for TCP', { skip: noNarrowCables }, async t => {
  const { hub, cables } = await layCables(t, 2);
  const [from, to] = cables as [Cable, Cable];
  joinAt(hub, cables);
  // As RFC 5681 has it, whatever this machine's own is.
  for (const { far } of cables) far.set('net/ipv4/tcp_congestion_control', 'reno');
  to.narrow('8mbit', QUEUE_BYTES);
  const node = (machine: Machine, ...words: string[]): Promise<RunningCommand> =>
    spawnProgram(t, ...machine.program(process.execPath, ...words));

  const path = join(await tempFolder(t), 'content');
  writeFileSync(path, '');
  truncateSync(path, FILE_BYTES);
  const at = ['--listen', `${from.farAddress}:0`];
  const seeder = await node(from.far, commandPath('tsp-peer'), 'swarm', 'seed', path, ...at);
  const peer = `${from.farAddress}:${(await seeder.ready()).port}`;
  const id = seeder.lines[0]!.split(' ')[0]!;
  const words = ['swarm', 'get', id, '-o', `${path}.got`, '--peer', peer];
  const getter = await node(to.far, commandPath('tsp-peer'), ...words);

  await full(to, 'alone it fills the line');

  const plenty = await node(from.far, '-e', PLENTY);
  await plenty.says(/up/);
  const taker = await node(to.far, '-e', take(from.farAddress));
  let before = taken(to.far);
  await until('TCP has twice what the swarm has, which moves all the same', () => {
    const now = taken(to.far);
    const [tcp, swarm] = [now.tcp - before.tcp, now.swarm - before.swarm];
    if (tcp + swarm < 2 * STRETCH_BYTES) return false;
    before = now;
    return tcp > 2 * swarm && swarm > 0;
  });
  t.ok(getter.running, `it goes on ${getter.stderr}`);

  taker.kill('SIGKILL');
  await full(to, 'left alone it fills the line again');
  t.ok(getter.running, `it goes on ${getter.stderr}`);
});

/** Until so much has gone over the cable without a look that found nothing waiting. */
async function full(cable: Cable, what: string): Promise<void> {
  let since: number | undefined;
  await until(what, () => {
    const { bytes, backlog } = cable.queue();
    since = backlog === 0 ? undefined : (since ?? bytes);
    return since !== undefined && bytes - since >= STRETCH_BYTES;
  });
}

/** Bytes of content that came to a machine: whole segments on Ethernet, and a chunk a datagram. */
function taken({ pid }: Machine): { tcp: number; swarm: number } {
  const lines = readFileSync(`/proc/${pid}/net/snmp`, 'utf8').split('\n');
  const count = (protocol: string, name: string): number => {
    const [names, values] = lines
      .filter(line => line.startsWith(`${protocol}: `))
      .map(line => line.split(' '));
    return Number(values![names!.indexOf(name)]);
  };
  return { tcp: 1_448 * count('Tcp', 'InSegs'), swarm: 1_024 * count('Udp', 'InDatagrams') };
}
