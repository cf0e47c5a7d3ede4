/** Ranking of peers and of songs' hosts by an ALTO server: a real HTTP server that answers well, wrongly, slowly, endlessly, and not at all. */
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import t from 'tap';
import { AltoRanking, type AltoRankingOptions } from '../../../peer/swarm/alto-ranking.js';
import { Neighbours } from '../../../peer/swarm/neighbours.js';
import type { PeerAddress } from '../../../protocol/ppspp/gate.js';
import { Chance } from '../../simulation/chance.js';
import { honestBut } from '../../support/honest-host.js';
import { mp3Bytes } from '../../support/mp3.js';
import { openNetwork } from '../../support/network.js';
import { patientClock } from '../../support/patient-clock.js';
import { RecordingLogger } from '../../support/recording-logger.js';
import { spawnCommand } from '../../support/spawn-command.js';
import { tempFolder } from '../../support/temp-folder.js';
import { type Teardown, until } from '../../support/until.js';
import { VirtualClock } from '../../support/virtual-clock.js';
import { collectWithin, fetcher, toFetch } from '../listening/fetching.js';
import { scriptedHost, testSong } from '../listening/scripted-host.js';

const ROUTING = { mode: 'numerical', metric: 'routingcost' } as const;
const at = (address: string): PeerAddress => ({ address, port: 6_778 });

interface Asked {
  readonly type: string | undefined;
  readonly body: { endpoints: { dsts: string[] }; 'cost-type': object };
}

/** A server of its own; `answer` may say anything, or nothing. */
async function server(
  t: Teardown,
  answer: (response: ServerResponse, asked: Asked, request: IncomingMessage) => void,
) {
  const asked: Asked[] = [];
  const http = createServer(async (request, response) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part);
    const body = JSON.parse(Buffer.concat(parts).toString() || '{}');
    asked.push({ type: request.headers['content-type'], body });
    answer(response, asked.at(-1)!, request);
  }).listen(0, '127.0.0.1');
  await once(http, 'listening');
  t.teardown(() => {
    http.closeAllConnections();
    http.close();
  });
  const { port } = http.address() as { port: number };
  return { url: new URL(`http://127.0.0.1:${port}/endpointcost`), asked };
}

function answered(response: ServerResponse, rows: object, more: object = {}): void {
  response.setHeader('Content-Type', 'application/alto-endpointcost+json');
  const costType = { 'cost-mode': 'numerical', 'cost-metric': 'routingcost', ...more };
  response.end(
    JSON.stringify({ meta: { 'cost-type': costType }, 'endpoint-cost-map': { 'ipv4:192.0.2.1': rows } }),
  );
}

const rankingOf = (t: Teardown, options: Pick<AltoRankingOptions, 'url'> & Partial<AltoRankingOptions>) => {
  const logger = new RecordingLogger();
  const ranking = new AltoRanking({ costType: ROUTING, clock: patientClock, logger, ...options });
  t.teardown(() => ranking.stop());
  return { ranking, logger };
};

t.test('peers are asked about together, once, and the cheapest are dialled first', async t => {
  const { url, asked } = await server(t, response =>
    answered(response, {
      'ipv4:192.0.2.9': 7,
      'ipv4:192.0.2.8': 3,
      'ipv6:2001:db8::7': 1,
      'ipv4:192.0.2.6': 'x',
    }),
  );
  const { ranking } = rankingOf(t, { url });
  const named = ['192.0.2.6', '192.0.2.9', '192.0.2.8', '2001:db8::7'].map(at);
  const neighbours = new Neighbours({ named, maxPeers: 3, ranking });
  let told = 0;
  const tell = (): void => {
    told += 1;
  };
  ranking.consider(named.slice(0, 2), tell);
  ranking.consider(named, tell);
  t.ok(ranking.isAsking);
  t.same(neighbours.due(0), [named[0], named[1]], 'half of them at once, whatever they cost');
  await until('it is told', () => told > 0);
  t.same(asked, [
    {
      type: 'application/alto-endpointcostparams+json',
      body: {
        'cost-type': { 'cost-mode': 'numerical', 'cost-metric': 'routingcost' },
        endpoints: { dsts: ['ipv4:192.0.2.6', 'ipv4:192.0.2.9', 'ipv4:192.0.2.8', 'ipv6:2001:db8::7'] },
      },
    },
  ]);
  t.same(
    [told, ranking.isAsking, ranking.cost('192.0.2.9'), ranking.cost('192.0.2.6')],
    [1, false, 7, undefined],
  );
  t.same(neighbours.due(0), [named[3]]);
  ranking.consider(named, tell);
  t.notOk(ranking.isAsking, 'nothing is asked twice');
});

t.test('a server that is still thinking when nobody needs it any more has done nothing wrong', async t => {
  const { url, asked } = await server(t, () => {});
  const { ranking, logger } = rankingOf(t, { url });
  const told = new Promise<void>(resolve => ranking.consider([at('192.0.2.9')], resolve));
  await until('it is asked', () => asked.length > 0);
  ranking.stop();
  await told;
  t.same(logger.messages(), []);
});

t.test('what is no answer ranks nobody, and harms nobody', async t => {
  for (const [what, answer] of [
    ['an error', response => response.writeHead(500).end('no')],
    ['another type', response => response.writeHead(200, { 'Content-Type': 'text/html' }).end('<p>')],
    ['no JSON', response => response.writeHead(200, { 'Content-Type': 'application/json' }).end('{')],
    [
      'nothing of it',
      response => response.writeHead(200, { 'Content-Type': 'application/json' }).end('null'),
    ],
    [
      'another metric',
      response => answered(response, { 'ipv4:192.0.2.9': 1 }, { 'cost-metric': 'hopcount' }),
    ],
    ['elsewhere', response => response.writeHead(302, { Location: 'http://192.0.2.1/' }).end()],
    ['no end', response => endless(response)],
    ['a reset', (_response, _asked, request) => request.destroy()],
  ] as [string, Parameters<typeof server>[1]][]) {
    const { url } = await server(t, answer);
    const { ranking, logger } = rankingOf(t, { url });
    await new Promise<void>(resolve => ranking.consider([at('192.0.2.9')], resolve));
    t.equal(ranking.cost('192.0.2.9'), undefined, what);
    t.same(logger.messages(), ['the ALTO server does not rank'], what);
  }
});

function endless(response: ServerResponse): void {
  response.writeHead(200, { 'Content-Type': 'application/json' });
  const more = (): void => {
    while (!response.destroyed && response.write(Buffer.alloc(65_536, 0x20)));
    if (!response.destroyed) response.once('drain', more);
  };
  more();
}

t.test('who does not answer within two seconds has had his chance', async t => {
  const clock = new VirtualClock();
  const { url, asked } = await server(t, () => {});
  const { ranking } = rankingOf(t, { url, clock });
  let told = false;
  ranking.consider([at('192.0.2.9')], () => {
    told = true;
  });
  clock.advance(50);
  await until('it is asked', () => asked.length === 1);
  ranking.consider([at('192.0.2.8')], () => {});
  clock.advance(1_949);
  t.ok(ranking.isAsking);
  clock.advance(1);
  await until('it is given up', () => told);
  t.equal(ranking.cost('192.0.2.9'), undefined);
  clock.advance(50);
  await until('and asked about the other', () => asked.length === 2);
});

t.test('swarm get dials whom the server prefers', async t => {
  const { url, asked } = await server(t, response =>
    answered(response, { 'ipv4:127.0.0.1': 5, 'ipv4:127.0.0.2': 9, 'ipv4:127.0.0.3': 1 }),
  );
  const folder = await tempFolder(t);
  const content = new Chance(8).bytes(600_000);
  writeFileSync(join(folder, 'content'), content);
  const seeds = await Promise.all(
    ['127.0.0.1', '127.0.0.2', '127.0.0.3'].map(async host => {
      const where = ['--listen', `${host}:0`, '--max-upload', '150k'];
      const words = ['swarm', 'seed', join(folder, 'content'), ...where];
      const command = await spawnCommand(t, 'tsp-peer', words);
      const { port } = await command.ready();
      return { id: command.lines[0]!.split(' ')[0]!, host: `${host}:${port}` };
    }),
  );
  const hosts = seeds.map(({ host }) => host);
  const peers = hosts.flatMap(host => ['--peer', host]);
  const get = await spawnCommand(t, 'tsp-peer', [
    ...['swarm', 'get', seeds[0]!.id, '-o', join(folder, 'out'), '--json', '--max-peers', '2'],
    ...['--alto', url.href, ...peers],
  ]);
  t.equal(await get.exitCode(), 0);
  const got = get.rows.find(({ event }) => event === 'got') as { sources: { host: string }[] } | undefined;
  t.same(got?.sources.map(({ host }) => host).sort(), [hosts[0], hosts[2]], 'not the dear one');
  t.equal(asked.length, 1);
  for (const words of [
    ['--alto', 'alto.example'],
    ['--alto-cost-type', 'cheap'],
  ]) {
    const wrong = await spawnCommand(t, 'tsp-peer', ['swarm', 'get', 'ab'.repeat(32), ...words]);
    t.equal(await wrong.exitCode(), 2);
    t.match(wrong.stderr, /such as/);
  }
});

t.test('the hosts of a song are asked in the order of what they cost, once that is known', async t => {
  const { url } = await server(t, response =>
    answered(response, { 'ipv4:127.0.0.2': 9, 'ipv4:127.0.0.3': 1, 'ipv4:127.0.0.4': 5 }),
  );
  const songs = [testSong(50_000, 1, 1), testSong(50_000, 2, 2)] as const;
  const addresses = ['127.0.0.1', '127.0.0.2', '127.0.0.3', '127.0.0.4'];
  const hosts = await Promise.all(addresses.map(address => scriptedHost(t, songs, {}, address)));
  const { ranking } = rankingOf(t, { url });
  const listener = fetcher(t, { ranking });
  t.ok((await collectWithin(listener.open(toFetch(songs[0], hosts)))).equals(songs[0].bytes));
  await until('it is known', () => ranking.cost('127.0.0.3') !== undefined);
  const stream = listener.open(toFetch(songs[1], hosts));
  t.ok((await collectWithin(stream)).equals(songs[1].bytes));
  t.same(
    stream.report().sources.map(({ host }) => host),
    [hosts[2]!.address],
  );
  await hosts[2]!.kill();
  const other = listener.open(toFetch(songs[1], hosts));
  await collectWithin(other);
  t.same(
    other.report().sources.map(({ host }) => host),
    [hosts[3]!.address],
    'and when the cheapest is gone, the next',
  );
});

t.test('a song does not wait for an ALTO server that is silent', async t => {
  const song = mp3Bytes({ seconds: 2, bitrate: 128_000, seed: 71, title: 'Tirana' });
  const network = await openNetwork(t);
  const { url, asked } = await server(t, () => {});
  await network.scriptedHost(
    song,
    honestBut(song, async (client, _, bytes) => {
      await until('it is asked', () => asked.length === 1);
      client.write(bytes);
    }),
  );
  const target = join(await network.newHome(), 'song.mp3');
  const get = await network.run(['get', String(await network.idOf(song)), '-o', target, '--alto', url.href]);
  t.equal(await get.exitCode(), 0, get.stderr);
  t.ok((await readFile(target)).equals(song));
  t.same(asked[0]!.body.endpoints.dsts, ['ipv4:127.0.0.1']);
});
