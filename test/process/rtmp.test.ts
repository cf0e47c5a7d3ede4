/**
 * RTMP through whole processes: a tracker, a peer with `--rtmp`, the real ffmpeg as publisher and player, and listeners that
 * speak TSP; and what these hear of a publisher that is killed or stopped. The many clients and what they are told are in
 * rtmp-clients.test.ts.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { FrameScanner } from '../../peer/mpeg/frame-scanner.js';
import { besideOthers } from '../support/beside-others.js';
import { missing } from '../support/installed.js';
import { mp3Bytes, mpegFrames } from '../support/mp3.js';
import { openNetwork } from '../support/network.js';
import { type RunningCommand, spawnProgram } from '../support/spawn-command.js';
import { type Teardown, until, within } from '../support/until.js';

const skip = missing('ffmpeg');
/** Of each feed. */
const keyOf = (feed: string): string => `${feed}-key`;
const FEEDS = ['music', 'talk', 'away-0', 'away-2', 'away-8', 'stopped'];
/** A frame of nothing but zeros behind its header: what a listener hears when nobody publishes. */
const SILENT = Buffer.alloc(400);
const FRAMES_A_SECOND = 44_100 / 1_152;
const silentFrames = (bytes: Buffer): number =>
  new FrameScanner().push(bytes).filter(frame => frame.bytes.subarray(4).every(byte => byte === 0)).length;

// Each is a feed of its own, and mostly waits.
t.jobs = FEEDS.length;

const network = await openNetwork(t);
const home = await network.newHome();
const keys = join(home, 'keys');
await writeFile(
  keys,
  FEEDS.map(feed => `${feed} ${keyOf(feed)}\n`),
  { mode: 0o600 },
);
const song = mp3Bytes({ seconds: 5, seed: 8, title: 'Lluvia', header: 'Info' });
const host = await network.host({
  songs: { 'lluvia.mp3': song },
  // On a slow machine ffmpeg may take long to start.
  args: ['--rtmp', '127.0.0.1:0', '--live-keys', keys, '--live-grace', '60'],
});
const [url = ''] = await host.command.says(/rtmp:\/\/127\.0\.0\.1:\d+/);

const ffmpeg = (t: Teardown, ...args: string[]): Promise<RunningCommand> =>
  spawnProgram(t, 'ffmpeg', ['-hide_banner', '-nostdin', '-loglevel', 'error', '-y', ...args]);

const publish = (t: Teardown, path: string, feed: string, codec = 'copy'): Promise<RunningCommand> =>
  ffmpeg(t, '-re', '-i', path, '-c:a', codec, '-f', 'flv', `${url}/live/${keyOf(feed)}`);

/** What it hears is on its standard output; it looks at less of it than usual before it begins. */
const play = (t: Teardown, feed: string): Promise<RunningCommand> =>
  ffmpeg(t, '-probesize', '4096', '-i', `${url}/live/${feed}`, ...COPY, '-');
const COPY = ['-c', 'copy', '-f', 'mp3', '-write_xing', '0', '-id3v2_version', '0'];

/** The feed's ID, when it is listed. */
async function listed(title: string): Promise<string> {
  const row = await until(`${title} is listed`, async () =>
    (await network.list()).find(row => row.live === true && row.title === title),
  );
  return String(row.id);
}

async function publishedFile(title: string, seconds = 60) {
  const path = join(await network.newHome(), `${title}.mp3`);
  const bytes = mpegFrames({ seconds, seed: 2 });
  await writeFile(path, mp3Bytes({ seconds, seed: 2, title }));
  return { path, bytes };
}

t.test(
  'MP3 from ffmpeg reaches a TSP listener and an RTMP player bit for bit',
  besideOthers(skip),
  async t => {
    const { path, bytes } = await publishedFile('Uno');
    const publisher = await publish(t, path, 'music');
    const listener = await network.run(['get', await listed('Uno'), '-o', '-']);
    const player = await play(t, 'music');
    await until('both hear it', () => listener.bytes.length > 30_000 && player.bytes.length > 30_000);
    const frames = new FrameScanner().push(player.bytes);
    for (const [who, heard] of [
      ['the listener', listener.bytes.subarray(0, 20_000)],
      ['the player', Buffer.from(frames.at(2)!.bytes)],
    ] as const)
      t.ok(bytes.includes(heard), who);
    publisher.kill();
    t.equal(await listener.exitCode(), 0, 'a goodbye is the end');
    t.match(await within('the player ends', player.exited), { code: 0 });
  },
);

for (const seconds of [0, 2, 8]) {
  const absence = seconds === 0 ? 'at once' : `after ${seconds} s of silence`;
  t.test(
    `a publisher is killed and back ${absence}, and nobody who listens stops`,
    besideOthers(skip),
    async t => {
      const feed = `away-${seconds}`;
      const { path, bytes } = await publishedFile(feed);
      const first = await publish(t, path, feed);
      const listener = await network.run(['get', await listed(feed), '-o', '-']);
      const player = await play(t, feed);
      await until('both hear it', () => listener.bytes.length > 8_000 && player.bytes.length > 8_000);
      first.kill('SIGKILL');
      await first.exited;
      for (const who of [listener, player])
        await until('so much silence is heard', () => silentFrames(who.bytes) >= seconds * FRAMES_A_SECOND);
      const before = { listener: listener.bytes.length, player: player.bytes.length };
      const next = await publish(t, path, feed);
      // What only the beginning of the file has.
      const beginning = bytes.subarray(40, 400);
      await until('the listener hears it', () => listener.bytes.indexOf(beginning, before.listener) > 0);
      await until('the player hears it', () => player.bytes.indexOf(beginning, before.player) > 0);
      t.ok(listener.running && player.running, 'they never stopped');
      next.kill();
      t.equal(await listener.exitCode(), 0);
      t.match(await within('the player ends', player.exited), { code: 0 });
      const scanner = new FrameScanner();
      scanner.push(listener.bytes);
      t.equal(scanner.lostBytes, 0, 'whole frames all the way');
    },
  );
}

t.test(
  'a publisher that was stopped loses its place to the next, and its listener hears that',
  besideOthers(skip),
  async t => {
    const { path, bytes } = await publishedFile('stopped');
    const first = await publish(t, path, 'stopped');
    const listener = await network.run(['get', await listed('stopped'), '-o', '-']);
    await until('it is heard', () => listener.bytes.length > 8_000);
    first.kill('SIGSTOP');
    await until('there is silence', () => listener.bytes.includes(SILENT));
    const before = listener.bytes.length;
    const isHeard = (): boolean => listener.bytes.indexOf(bytes.subarray(40, 400), before) > 0;
    let next = await publish(t, path, 'stopped');
    await until('one that tries again and again is let in', async () => {
      if (!next.running) next = await publish(t, path, 'stopped');
      return isHeard();
    });
    first.kill('SIGCONT');
    await within('the first is sent away when it wakes', first.exited);
    t.ok(next.running && listener.running);
    next.kill();
    t.equal(await listener.exitCode(), 0);
  },
);

t.test(
  'AAC from ffmpeg is heard as MP3, also when the ffmpeg of the peer is killed',
  besideOthers(skip),
  async t => {
    const { path } = await publishedFile('Dos');
    await publish(t, path, 'talk', 'aac');
    const id = await listed('Dos');
    const listener = await network.run(['get', id, '-o', '-']);
    await until('it is heard', () => listener.bytes.length > 16_000);
    // Where Linux tells them; elsewhere none is killed.
    const { pid } = host.command;
    const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
    for (const child of children.match(/\d+/g) ?? []) process.kill(Number(child), 'SIGKILL');
    const before = listener.bytes.length;
    // The encoder's name fills its silent frames, and none of ours.
    await until('another goes on', () => listener.bytes.indexOf('LAME', before + 8_000) > 0);
    const scanner = new FrameScanner();
    t.ok(scanner.push(listener.bytes).length > 30);
    t.equal(scanner.lostBytes, 0);
    listener.kill('SIGINT');
    t.equal(await listener.exitCode(), 0);
  },
);

t.test('a song of the library is played by its ID', besideOthers(skip), async t => {
  const id = await network.idOf(song);
  const out = join(await network.newHome(), 'out.mp3');
  const player = await ffmpeg(t, '-i', `${url}/songs/${id}`, ...COPY, out);
  t.match(await within('it ends', player.exited), { code: 0 });
  const played = await readFile(out);
  t.ok(song.includes(played) && played.length > song.length - 1_100, 'every frame of it');
});

t.test('who has no key is sent away, and the log has none', besideOthers(skip), async t => {
  const { path } = await publishedFile('Tres', 1);
  const wrong = await publish(t, path, 'guessed');
  t.match(await within('it ends', wrong.exited), { code: 1 });
  t.notMatch(host.command.stderr + host.command.stdout, /-key\b/);
});
