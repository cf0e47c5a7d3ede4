/**
 * RTMP through whole processes: a tracker, a peer with `--rtmp`, the real ffmpeg as publisher and player, and listeners that
 * speak TSP. The many clients and their oddities are in rtmp-clients.test.ts.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { FrameScanner } from '../../peer/mpeg/frame-scanner.js';
import { missing } from '../support/installed.js';
import { mp3Bytes, mpegFrames } from '../support/mp3.js';
import { openNetwork } from '../support/network.js';
import { type RunningCommand, spawnProgram } from '../support/spawn-command.js';
import { type Teardown, until, within } from '../support/until.js';

const skip = missing('ffmpeg');
const KEYS = { music: 'music-key', talk: 'talk-key' } as const;

const network = await openNetwork(t);
const home = await network.newHome();
const keys = join(home, 'keys');
await writeFile(
  keys,
  Object.entries(KEYS).map(row => `${row.join(' ')}\n`),
  { mode: 0o600 },
);
const song = mp3Bytes({ seconds: 5, seed: 8, title: 'Lluvia', header: 'Info' });
const host = await network.host({
  songs: { 'lluvia.mp3': song },
  args: ['--rtmp', '127.0.0.1:0', '--live-keys', keys, '--live-grace', '60'],
});
const [url = ''] = await host.command.says(/rtmp:\/\/127\.0\.0\.1:\d+/);

const ffmpeg = (t: Teardown, ...args: string[]): Promise<RunningCommand> =>
  spawnProgram(t, 'ffmpeg', ['-hide_banner', '-nostdin', '-loglevel', 'error', '-y', ...args]);

const publish = (t: Teardown, path: string, key: string, codec = 'copy'): Promise<RunningCommand> =>
  ffmpeg(t, '-re', '-i', path, '-c:a', codec, '-f', 'flv', `${url}/live/${key}`);

/** The feed's ID, when it is listed. */
async function listed(title: string): Promise<string> {
  const row = await until(`${title} is listed`, async () =>
    (await network.list()).find(row => row.live === true && row.title === title),
  );
  return String(row.id);
}

async function publishedFile(title: string, seconds: number) {
  const path = join(await network.newHome(), `${title}.mp3`);
  const bytes = mpegFrames({ seconds, seed: 2 });
  await writeFile(path, mp3Bytes({ seconds, seed: 2, title }));
  return { path, bytes };
}

t.test(
  'MP3 from ffmpeg reaches a TSP listener and an RTMP player bit for bit; nobody notices that it was killed',
  {
    skip,
  },
  async t => {
    const { path, bytes } = await publishedFile('Uno', 60);
    const first = await publish(t, path, KEYS.music);
    const id = await listed('Uno');
    const listener = await network.run(['get', id, '-o', '-']);
    const player = await ffmpeg(
      t,
      '-i',
      `${url}/live/music`,
      '-c',
      'copy',
      '-f',
      'mp3',
      '-write_xing',
      '0',
      '-',
    );
    await until('both hear it', () => listener.bytes.length > 30_000 && player.bytes.length > 30_000);
    const frames = new FrameScanner().push(player.bytes);
    for (const [who, heard] of [
      ['the listener', listener.bytes.subarray(0, 20_000)],
      ['the player', Buffer.from(frames.at(2)!.bytes)],
    ] as const)
      t.ok(bytes.includes(heard), who);
    for (const _ of ['at once', 'again']) {
      first.kill('SIGKILL');
      const before = listener.bytes.length;
      const next = await publish(t, path, KEYS.music);
      // What only the beginning of the file has: the next publisher is heard.
      const beginning = bytes.subarray(40, 400);
      await until('it goes on', () => listener.bytes.indexOf(beginning, before) > 0);
      next.kill('SIGKILL');
      await next.exited;
    }
    t.ok(listener.running && player.running, 'they never stopped');
    listener.kill('SIGINT');
    t.equal(await listener.exitCode(), 0);
  },
);

t.test('AAC from ffmpeg is heard as MP3', { skip }, async t => {
  const { path } = await publishedFile('Dos', 30);
  await publish(t, path, KEYS.talk, 'aac');
  const id = await listed('Dos');
  const listener = await network.run(['get', id, '-o', '-']);
  await until('it is heard', () => listener.bytes.length > 16_000);
  const scanner = new FrameScanner();
  t.ok(scanner.push(listener.bytes).length > 30);
  t.equal(scanner.lostBytes, 0);
  listener.kill('SIGINT');
  t.equal(await listener.exitCode(), 0);
});

t.test('a song of the library is played by its ID', { skip }, async t => {
  const id = await network.idOf(song);
  const out = join(await network.newHome(), 'out.mp3');
  const player = await ffmpeg(
    t,
    '-i',
    `${url}/songs/${id}`,
    '-c',
    'copy',
    '-f',
    'mp3',
    '-write_xing',
    '0',
    '-id3v2_version',
    '0',
    out,
  );
  t.match(await within('it ends', player.exited), { code: 0 });
  const played = await readFile(out);
  t.ok(song.includes(played) && played.length > song.length - 1_100, 'every frame of it');
});

t.test('who has no key is told, and the log has none', { skip }, async t => {
  const { path } = await publishedFile('Tres', 1);
  const wrong = await publish(t, path, 'guessed-key');
  t.match(await within('it ends', wrong.exited), { code: 1 });
  t.match(wrong.stderr, /this key opens no feed here/);
  t.notMatch(host.command.stderr + host.command.stdout, /guessed-key|music-key|talk-key/);
});
