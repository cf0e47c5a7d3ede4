/**
 * A tracker whose disk is full: it takes nobody in, serves everybody else, keeps its log readable, and is as before when
 * there is room again. Who has to wait for that is never told that he can't be reached.
 */
import { randomBytes } from 'node:crypto';
import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { Socket } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import type { LinkEvent } from '../../peer/tracker-client/link-events.js';
import { TrackerLink } from '../../peer/tracker-client/tracker-link.js';
import { RequestError } from '../../protocol/errors.js';
import { WRITE_RETRY_MS } from '../../tracker/registry/lmdb.js';
import { MemoryRegistry } from '../../tracker/registry/memory.js';
import { Songs } from '../peer/tracker-client/own-songs.js';
import { range } from '../support/crowd.js';
import { LMDB_REFUSED, noLimits, refuseWrites } from '../support/failing-calls.js';
import { noMounts, seenBy, spawnWithMount } from '../support/private-mounts.js';
import { RecordingLogger } from '../support/recording-logger.js';
import { commandPath, spawnCommand } from '../support/spawn-command.js';
import { watchSurvivor } from '../support/survivor.js';
import { tempFolder } from '../support/temp-folder.js';
import { connectTsp, listAt, listenTsp } from '../support/tsp-client.js';
import { until } from '../support/until.js';
import { VirtualClock } from '../support/virtual-clock.js';
import { registerHost, registerKept, song, startTracker } from '../tracker/tracker-fixture.js';

/** What a peer comes back for while the disk is full. */
const ATTEMPTS = 12;

for (const { retryAfterMs, told } of [
  { retryAfterMs: WRITE_RETRY_MS, told: false },
  // Why it is not less: somebody who comes sooner is dialled too often, and the tracker can't tell why it fails.
  { retryAfterMs: WRITE_RETRY_MS / 2, told: true },
]) {
  const name = `a peer that is refused for want of disk, and comes back after ${retryAfterMs / 1_000} s`;
  t.test(`${name}, is ${told ? 'soon' : 'never'} told that it can’t be reached`, async t => {
    const clock = new VirtualClock();
    const registry = new MemoryRegistry({ randomBytes });
    const tracker = await startTracker(t, { registry, clock });
    let isFull = true;
    let refusals = 0;
    const { flushed } = registry;
    registry.flushed = () => {
      if (!isFull) return flushed.call(registry);
      refusals += 1;
      return Promise.reject(new RequestError('unavailable', 'no room', { retryAfterMs }));
    };
    const events: LinkEvent[] = [];
    let attempts = 0;
    const link = new TrackerLink({
      tracker: { host: '127.0.0.1', port: tracker.port },
      clock,
      logger: new RecordingLogger(),
      randomUnit: () => 0,
      hello: { agent: 'test/1', instance: 'secret' },
      songs: new Songs(song(1)),
      openSocket: () => {
        attempts += 1;
        return new Socket();
      },
    });
    link.onEvent(event => events.push(event));
    t.teardown(() => link.stop());
    const server = await listenTsp(t, async client => {
      const { value } = await client.receive('PING');
      client.send({ type: 'PONG', value });
      link.ping(value);
    });
    const isUnreachable = (): boolean => events.some(({ kind }) => kind === 'unreachable');
    const settled = (what: string, isSo: () => boolean): Promise<unknown> =>
      until(what, () => {
        // A long list is sent in turns.
        clock.advance(0);
        return isUnreachable() || isSo();
      });
    const comesBack = async (): Promise<void> => {
      const before = attempts;
      await settled('it has gone', () => tracker.tracker.status().connections === 0);
      await settled('it comes back', () => {
        if (attempts === before) clock.advance(1_000);
        return attempts > before;
      });
    };
    void link.start(server.port);
    for (const attempt of range(ATTEMPTS)) {
      await settled(`refusal ${attempt}`, () => refusals > attempt);
      if (isUnreachable()) break;
      if (attempt === ATTEMPTS - 1) isFull = false;
      await comesBack();
    }
    t.equal(isUnreachable(), told);
    if (!told) await until('there is room, and it is listed', () => link.status().listed.length === 1);
  });
}

t.test(
  'on a full disk a tracker serves on, logs whole lines, and takes hosts in when there is room',
  {
    skip: noMounts,
  },
  async t => {
    const folder = join(await tempFolder(t), 'disk');
    await mkdir(folder);
    const words = ['--host', '127.0.0.1', '--port', '0', '--max-per-address', '0', '--data', folder];
    const program = [process.execPath, commandPath('tsp-tracker'), ...words];
    const tracker = await spawnWithMount(t, { folder, size: '32M' }, program);
    const { port } = await tracker.ready();
    const survivor = await watchSurvivor(tracker, () => listAt(t, port));
    const before = await registerHost(t, { port }, { songs: [song(1)] });
    await until('it is listed', async () => (await listAt(t, port)).length === 1);

    const filler = seenBy(tracker, join(folder, 'filler'));
    fill(filler);
    for (const n of range(5)) {
      const client = await connectTsp(t, port);
      await t.rejects(registerHost(t, { port }, { client, songs: [song(n + 2)] }), {
        message: /"code":"unavailable"/,
      });
      client.destroy();
    }
    before.client.send({ type: 'UPDATE', changes: [song(7)] });
    t.match((await before.client.await('ERROR')).error, { code: 'unavailable' });
    t.match(await listAt(t, port), [{ id: before.idOf(1) }]);
    rmSync(filler);

    const after = await registerHost(t, { port }, { songs: [song(7)] });
    t.type(after.idOf(7), 'number');
    await until('it is listed', async () => (await listAt(t, port)).length === 2);
    before.client.destroy();
    after.client.destroy();
    await survivor.survived();
    t.equal(await tracker.end(), 0);
    for (const line of tracker.stderr.trimEnd().split('\n'))
      t.doesNotThrow(() => JSON.parse(line), `a line of the log: ${line.slice(0, 200)}`);
  },
);

t.test(
  'a disk that takes nothing refuses the tracker, and never lmdb, which such a refusal may end',
  { skip: noLimits },
  async t => {
    const words = ['--host', '127.0.0.1', '--port', '0', '--max-per-address', '0'];
    const tracker = await spawnCommand(t, 'tsp-tracker', words);
    const { port } = await tracker.ready();
    const survivor = await watchSurvivor(tracker, () => listAt(t, port));
    const kept = await registerKept(t, { port }, 0);
    const fault = refuseWrites(tracker.pid);
    for (const n of range(3))
      await t.rejects(registerHost(t, { port }, { songs: [song(n + 1)] }), {
        message: /"code":"unavailable"/,
      });
    t.match(tracker.stderr, /EFBIG/);
    t.notMatch(tracker.stderr, LMDB_REFUSED);
    fault.lift();
    const host = await registerHost(t, { port }, { songs: [song(9)] });
    t.type(host.idOf(9), 'number');
    kept.client.destroy();
    host.client.destroy();
    await survivor.survived();
  },
);

/** Writes until the disk takes no more. */
function fill(path: string): void {
  const file = openSync(path, 'w');
  try {
    for (;;) writeSync(file, Buffer.alloc(64 * 1024));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
  } finally {
    closeSync(file);
  }
}
