/**
 * A broadcast as whole processes: a tracker, the peer that broadcasts, one that relays, and listeners who never notice what
 * becomes of the publisher.
 */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { FrameScanner } from '../../peer/mpeg/frame-scanner.js';
import { publishTo } from '../support/icecast-source.js';
import { mpegFrames } from '../support/mp3.js';
import { openNetwork } from '../support/network.js';
import { netcat } from '../support/tsp-client.js';
import { until } from '../support/until.js';

const network = await openNetwork(t);
const home = await network.newHome();
const data = join(home, 'data');
const broadcaster = await network.run(
  ['--headless', '--json', '--port', '0', '--data', data, '--live', 'radio', '--icecast', '127.0.0.1:0'],
  home,
);
const [, key = '', port] = await broadcaster.says(
  /icecast:\/\/source:([0-9a-f]{32})@127\.0\.0\.1:(\d+)\/radio/,
);
const source = { port: Number(port), mount: 'radio', key };

interface Feed {
  readonly id: number;
  readonly live?: boolean;
  readonly hostCount: number;
}
const feeds = async (): Promise<Feed[]> => (await network.list()).filter(row => row.live === true) as never;
const oneFeed = async (hosts = 1): Promise<Feed> =>
  await until('the feed is listed', async () => (await feeds()).find(({ hostCount }) => hostCount === hosts));

/** A frame of nothing but zeros behind its header: what a listener hears when nobody publishes. */
const SILENT = Buffer.alloc(400);
/** What the publisher of each seed sends, and no other: ancillary data of its first frame. */
const SIGNATURES = [1, 2, 3, 4].map(seed => mpegFrames({ seconds: 0.02, seed }).subarray(36, 136));
const isHeard = (bytes: Buffer, seed: number): boolean => bytes.includes(SIGNATURES[seed - 1]!);

t.test('what a peer keeps of its feeds is for its owner alone, and the key is in no log', async t => {
  for (const file of ['radio.key', 'radio.pem'])
    t.equal((await stat(join(data, 'live', file))).mode & 0o777, 0o600);
  t.equal((await readFile(join(data, 'live/radio.key'), 'utf8')).trim(), key);
  await t.rejects(publishTo(t, { ...source, key: 'guessed', seed: 0 }), { message: /401/ });
  t.same(await feeds(), []);
  t.notMatch(broadcaster.stderr, key);
});

t.test('a listener joins, hears the title change, and goes on when publishers come and go', async t => {
  const first = await publishTo(t, { ...source, seed: 1 });
  const { id } = await oneFeed();
  const listener = await network.run(['get', String(id), '-o', '-']);
  const player = await network.run(['play', String(id), '--output', 'null', '--json']);
  const file = join(await network.newHome(), 'radio.mp3');
  const recorder = await network.run(['get', String(id), '-o', file, '--json']);
  await player.says(/"event":"started"/);
  await until('it is heard', () => isHeard(listener.bytes, 1));
  await t.rejects(publishTo(t, { ...source, seed: 2 }), { message: /403/ }, 'one publisher at a time');
  const auth = Buffer.from(`source:${key}`).toString('base64');
  const update = `GET /admin/metadata?mode=updinfo&mount=/radio&song=Ana%20-%20Fandango HTTP/1.0\r\nAuthorization: Basic ${auth}\r\n\r\n`;
  t.match(String(await netcat(t, source.port, update)), /200 OK/);
  await player.says(/"event":"title".*"title":"Fandango"/);
  await until('the list has it', async () =>
    (await network.list()).some(({ title, artist }) => title === 'Fandango' && artist === 'Ana'),
  );
  first.kill();
  await until('there is silence', () => listener.bytes.includes(SILENT));
  t.equal((await feeds())[0]?.id, id, 'the feed stays');
  const second = await publishTo(t, { ...source, seed: 3 });
  await until('the next publisher is heard', () => isHeard(listener.bytes, 3));
  second.kill();
  await publishTo(t, { ...source, seed: 4 });
  await until('and the one after it, at once', () => isHeard(listener.bytes, 4));
  player.kill('SIGINT');
  t.equal(await player.exitCode(), 130);
  t.match(player.stdout, /"event":"ended".*"outcome":"stopped"/);
  listener.kill('SIGINT');
  t.equal(await listener.exitCode(), 0, 'a recording that is stopped is one');
  recorder.kill('SIGINT');
  t.equal(await recorder.exitCode(), 0);
  t.match(recorder.rows, [{ file, bytes: (await readFile(file)).length }], 'and what it is, is told');
  const scanner = new FrameScanner();
  scanner.push(listener.bytes);
  t.equal(scanner.lostBytes, 0, 'whole frames all the way');
});

t.test('a peer relays it, and its listeners outlive the source', async t => {
  // The publisher of the test before has left, and would not be waited for as long as all of this may take.
  await until('the next one is let in', () => publishTo(t, { ...source, seed: 1 }).catch(() => undefined));
  const { id } = await oneFeed();
  const relay = await network.run(
    ['--headless', '--json', '--port', '0', '--relay', String(id), '--live-grace', '5'],
    await network.newHome(),
  );
  await relay.ready();
  await relay.says(/"event":"notice","message":"Relay \d+: radio is offered to others now\."/);
  await oneFeed(2);
  const out = join(await network.newHome(), 'radio.mp3');
  const listener = await network.run(['get', String(id), '-o', out, '--json']);
  const sizeOf = (path: string): Promise<number> => stat(path).then(({ size }) => size);
  // It has its name when it is whole, which may be sooner than anybody looks.
  const recorded = (): Promise<number> =>
    sizeOf(`${out}.part-${listener.pid}`).catch(() => sizeOf(out).catch(() => 0));
  await until(
    () => `something is recorded: ${listener.stderr}`,
    async () => (await recorded()) > 20_000,
  );
  broadcaster.kill('SIGKILL');
  await broadcaster.exited;
  const before = await recorded();
  await until('it goes on', async () => (await recorded()) > before + 8_000);
  t.equal(await listener.exitCode(), 0, 'until the relay has waited long enough, and says that it is over');
  const [{ relayed, sources, failed }] = listener.rows as [
    { relayed: boolean; sources: unknown[]; failed: unknown[] },
  ];
  t.equal(relayed, true);
  t.equal(sources.length, 2);
  t.ok(failed.length > 0);
  await relay.says(/"message":"Relay \d+: radio was lost/);
  await until('the feed has left the list', async () => (await feeds()).length === 0);
});
