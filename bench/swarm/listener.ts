/**
 * The listener of the swarm benchmark, a process of its own: `SWARM-ID PORT …` on standard input, a row for each on standard
 * output.
 *
 *     node listener.js UDP /tmp/out          {"event":"fetched","seconds":1.62}
 */
import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { download } from '../../peer/swarm/download.js';
import { hashOfLength, staticMetadata } from '../../peer/swarm/static-swarm.js';
import { SwarmNode } from '../../peer/swarm/swarm-node.js';
import { TcpWire } from '../../peer/swarm/tcp-wire.js';
import { UdpWire } from '../../peer/swarm/udp-wire.js';
import { systemClock } from '../../src/clock.js';
import { RecordingLogger } from '../../test/support/recording-logger.js';

const [way, path] = process.argv.slice(2) as [string, string];

for await (const line of createInterface(process.stdin)) {
  const [id, ...ports] = line.split(' ') as [string, ...string[]];
  const swarmId = Buffer.from(id, 'hex');
  const logger = new RecordingLogger();
  const wire = way === 'TCP' ? new TcpWire(systemClock) : new UdpWire();
  const node = new SwarmNode({ clock: systemClock, logger, randomBytes, wire });
  await node.start({ host: '127.0.0.1', port: 0 });
  const begun = performance.now();
  await download({
    node,
    clock: systemClock,
    logger,
    path,
    metadata: staticMetadata(swarmId, hashOfLength(swarmId.length)!, 1_024),
    peers: ports.map(port => ({ address: '127.0.0.1', port: Number(port) })),
    maxPeers: ports.length,
    dialects: ['rfc7574'],
    serves: true,
    waits: false,
    allowUnverified: false,
    place: 0,
    signal: new AbortController().signal,
    onJoined: () => {},
    onProgress: () => {},
  });
  const seconds = (performance.now() - begun) / 1_000;
  await node.stop();
  await rm(path);
  process.stdout.write(`${JSON.stringify({ event: 'fetched', seconds })}\n`);
}
