/** What a broadcasting peer keeps, is brought, and tells: identities, stream keys, URLs. */
import { execFileSync } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { chmod, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { FeedStore } from '../../../peer/live/feed-store.js';
import { readKeysFile } from '../../../peer/live/keys-file.js';
import { DEFAULT_GRACE_MS, type LiveConfig } from '../../../peer/live/live-config.js';
import type { LiveDoor } from '../../../peer/live/live-door.js';
import { LiveRoom } from '../../../peer/live/live-room.js';
import { mp3Bytes } from '../../support/mp3.js';
import { RecordingLogger } from '../../support/recording-logger.js';
import { tempFolder } from '../../support/temp-folder.js';
import { VirtualClock } from '../../support/virtual-clock.js';
import { framesOf } from './feeding.js';
import { bytesOf } from './on-air.js';

const paper: LiveDoor = {
  start: async () => {},
  stop: async () => {},
  publishUrl: (name, key) => `paper://${name}/${key}`,
  listenUrl: name => `paper://${name}`,
};

async function openRoom(
  t: Test,
  dataDir: string,
  live: Partial<LiveConfig>,
  maxUploadBytesPerSecond = Number.POSITIVE_INFINITY,
) {
  const logger = new RecordingLogger();
  const told: string[] = [];
  const room = await LiveRoom.open({
    config: { names: [], isOpen: false, graceMs: DEFAULT_GRACE_MS, relays: [], rtmp: { port: 0 }, ...live },
    dataDir,
    maxUploadBytesPerSecond,
    world: { clock: new VirtualClock(), logger, randomBytes },
    notice: (message, hint = '') => told.push(`${message} ${hint}`),
  });
  t.teardown(() => room.stop());
  await room.start([paper]);
  return { room, told: told.join('\n'), logger };
}

const publisher = { via: 'RTMP', remote: 'x', dismissed: () => {} } as const;

t.test('keys and identities are made once, and only their owner can read them', async t => {
  const data = await tempFolder(t);
  const first = await openRoom(t, data, { names: ['radio', 'talk'] });
  const key = (await readFile(join(data, 'live/radio.key'), 'utf8')).trim();
  t.match(key, /^[0-9a-f]{32}$/);
  t.match(first.told, `paper://radio/${key}`, 'the key is shown when it is made');
  t.match(first.told, 'paper://radio.');
  const { id } = first.room.feeds.publish({ ...publisher, key }).feed;
  await first.room.stop();
  t.notMatch(JSON.stringify(first.logger.entries), key);
  for (const file of await readdir(join(data, 'live')))
    t.equal((await stat(join(data, 'live', file))).mode & 0o777, 0o600, file);
  await chmod(join(data, 'live/radio.key'), 0o644);
  const second = await openRoom(t, data, { names: ['radio', 'talk'] });
  t.notMatch(second.told, key, 'and never again');
  t.match(second.told, join(data, 'live/radio.key'), 'but where it is');
  t.equal((await stat(join(data, 'live/radio.key'))).mode & 0o777, 0o600);
  t.equal(second.room.feeds.publish({ ...publisher, key }).feed.id, id, 'the feed is the same one');
});

t.test('a feed goes by the hash of its public key, as PPSPP writes that', async t => {
  const data = await tempFolder(t);
  const store = new FeedStore(join(data, 'live'), randomBytes, new RecordingLogger());
  await store.load();
  const { id, swarmId, privateKey } = store.keep('radio');
  t.match(id, /^[0-9a-f]{64}$/);
  t.equal(swarmId.length, 65);
  t.equal(swarmId[0], 13);
  t.equal(privateKey.asymmetricKeyDetails?.namedCurve, 'prime256v1');
  t.equal(store.identity('radio').id, id);
  t.not(store.keep('talk').id, id);
  await store.settled();
  const again = new FeedStore(join(data, 'live'), randomBytes, new RecordingLogger());
  await again.load();
  t.equal(again.identity('radio').id, id);
});

t.test('an identity that is damaged, or another kind of key, is said by the name of its file', async t => {
  const data = await tempFolder(t);
  const { room } = await openRoom(t, data, { names: ['radio'] });
  await room.stop();
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
  for (const [file, what, texts] of [
    ['radio.next', 'is no number of a chunk.', ['', '-1']],
    ['radio.pem', 'is no P-256 key.', ['', 'torn', rsa.export({ format: 'pem', type: 'pkcs8' })]],
  ] as const) {
    const path = join(data, 'live', file);
    for (const text of texts) {
      await writeFile(path, text);
      const failure = { code: 'file', exitCode: 1, message: `${path} ${what}`, hint: String };
      t.match(await openRoom(t, data, { names: ['talk'] }).catch(error => error), { failure });
    }
    await rm(path);
  }
});

t.test('a feed whose numbers are lost begins at 0 again, and says so', async t => {
  const data = await tempFolder(t);
  for (const [first, said] of [
    [0, false],
    [0, false],
    [0, true],
    [4_096, false],
  ] as const) {
    if (said) await rm(join(data, 'live/radio.next'));
    const logger = new RecordingLogger();
    const store = new FeedStore(join(data, 'live'), randomBytes, logger);
    await store.load();
    const { numbers } = store.keep('radio');
    await store.settled();
    t.equal(numbers.begin(), first);
    if (said) await numbers.lend(first);
    t.equal(
      logger.messages('warn').some(message => message.includes('begins at chunk 0 again')),
      said,
    );
  }
});

t.test('keys may be brought, in a file that nobody else can read', async t => {
  const data = await tempFolder(t);
  const file = join(data, 'keys');
  await writeFile(file, '# mine\nradio correct-horse\n\n  talk   battery-staple\n', { mode: 0o600 });
  const { room, told } = await openRoom(t, data, { keysFile: file });
  t.equal(room.feeds.publish({ ...publisher, key: 'battery-staple' }).feed.name, 'talk');
  t.notMatch(told, /correct-horse|battery-staple/);
  t.match(told, file);
  await chmod(file, 0o640);
  await t.rejects(readKeysFile(file), { key: 'live-keys', message: /chmod 600/ });
  await chmod(file, 0o600);
  const inNoUrl = ['100%password123', 'password123?', 'password123.flv', 'a//password123'];
  const wrongs = ['radio', 'radio short', 'radio two keys-here', '../etc password123'];
  for (const wrong of [...wrongs, ...inNoUrl.map(key => `radio ${key}`)]) {
    await writeFile(file, `radio fine-enough\n${wrong}\n`);
    const refused = await readKeysFile(file).catch((error: Error) => error.message);
    t.match(refused, /line 2/, wrong);
    t.notMatch(refused, /password123|fine-enough/);
  }
  await t.rejects(readKeysFile(join(data, 'nowhere')), { name: 'ConfigError' });
  execFileSync('mkfifo', ['-m', '600', join(data, 'pipe')]);
  await t.rejects(readKeysFile(join(data, 'pipe')), { name: 'ConfigError' });
  await mkdir(join(data, 'folder'), { mode: 0o700 });
  await t.rejects(readKeysFile(join(data, 'folder')), { name: 'ConfigError' });
});

t.test('an open peer says so loudly', async t => {
  const { room, told } = await openRoom(t, await tempFolder(t), { isOpen: true });
  t.match(told, /ANYBODY/);
  t.equal(room.feeds.publish({ ...publisher, key: 'whoever' }).feed.name, 'whoever');
  t.throws(() => room.feeds.publish({ ...publisher, key: 'not/a/name' }), { name: 'PublishRefused' });
});

t.test('feeds have the places of the line without swarms, too, and relayed ones', async t => {
  const { room } = await openRoom(t, await tempFolder(t), { isOpen: true }, 32_000);
  const own = room.feeds.publish({ ...publisher, key: 'whoever' });
  const relayed = room.feeds.relay('relay-9', own.feed.id).publish(() => {});
  for (const publication of [own, relayed]) {
    publication.send(bytesOf(framesOf(1, { bitrate: 96_000 })));
    const { places } = publication.feed;
    t.same([places.takeForPlay(), places.takeForPlay(), places.takeForPlay()], [true, true, false]);
  }
});

t.test('of a name without a key nothing is kept on disk', async t => {
  const data = await tempFolder(t);
  const { room } = await openRoom(t, data, { isOpen: true, names: ['radio'] });
  const first = room.feeds.publish({ ...publisher, key: 'whoever' });
  first.send(mp3Bytes({ seconds: 1 }));
  first.end();
  t.equal(room.feeds.publish({ ...publisher, key: 'whoever' }).feed.id, first.feed.id, 'it is the same one');
  await room.stop();
  const store = new FeedStore(join(data, 'live'), randomBytes, new RecordingLogger());
  await store.load();
  const { id, numbers } = store.identity('whoever');
  t.not(id, first.feed.id);
  await numbers.lend(numbers.begin());
  await store.settled();
  t.same((await readdir(join(data, 'live'))).sort(), ['radio.key', 'radio.next', 'radio.pem']);
});
