/**
 * Those who want too much of a real `tsp-tracker`: more songs, IDs or connections than there are for one, and those who
 * are gone before they have what they asked for. What is past a quota is refused, the rest is served, others see nothing.
 */
import { randomBytes } from 'node:crypto';
import t from 'tap';
import { encode } from '../../protocol/tsp/codec.js';
import type { SongId } from '../../protocol/tsp/messages.js';
import type { ContentHash, OfferRow } from '../../protocol/tsp/rows.js';
import { hashOf } from '../support/content.js';
import { connectFrom, gone, range } from '../support/crowd.js';
import { spawnCommand } from '../support/spawn-command.js';
import { watchSurvivor } from '../support/survivor.js';
import { tempFolder } from '../support/temp-folder.js';
import { connectTsp, listAt, listenTsp, type TspClient } from '../support/tsp-client.js';
import { until } from '../support/until.js';
import { registerHost, registerListener, song } from '../tracker/tracker-fixture.js';

const WORDS = ['--host', '127.0.0.1', '--port', '0'];
const OPEN = ['--max-per-address', '0'];
/** What the default of `--max-songs-per-peer` promises. */
const SONGS_A_PEER = 50_000;
/** Rows that one address may change at once; a few more, and the last ones have to wait. */
const UPDATE_BURST = 10_000;
const ROWS_PAST_BURST = 100;
const ROWS_AN_UPDATE = 500;

type Row = Record<string, unknown>;

t.test('of a list that is one song too long one is refused, the rest is listed', async t => {
  const tracker = await spawnCommand(t, 'tsp-tracker', [...WORDS, ...OPEN]);
  const { port } = await tracker.ready();
  const survivor = await watchSurvivor(tracker, () => listAt(t, port));
  const modest = await registerHost(t, { port }, { songs: [song(SONGS_A_PEER + 7)] });
  const flood = await registerHost(t, { port }, { songs: range(SONGS_A_PEER + 1).map(n => song(n)) });
  t.strictSame(
    flood.ids.filter(({ id }) => id === undefined),
    [{ hash: hashOf(SONGS_A_PEER), error: 'refused' }],
  );
  t.equal(new Set(flood.ids.flatMap(({ id }) => id ?? [])).size, SONGS_A_PEER, 'each has an ID of its own');
  const last = flood.ids.findLast(({ id }) => id !== undefined)!.id as SongId;
  const isListed = async (): Promise<boolean> => {
    modest.client.send({ type: 'INFO', song: last });
    for (;;) {
      const { type } = await modest.client.next();
      if (type === 'SONG_INFO' || type === 'ERROR') return type === 'SONG_INFO';
    }
  };
  await until('the last is listed', isListed);
  // A long list is made anew once a second.
  await until('all are listed', async () => (await listAt(t, port)).length === SONGS_A_PEER + 1);
  modest.client.send({ type: 'UPDATE', changes: [song(SONGS_A_PEER + 8)] });
  t.match((await modest.client.await('SONG_IDS')).rows, [{ hash: hashOf(SONGS_A_PEER + 8) }]);
  flood.client.destroy();
  await until('it takes its songs along', async () => !(await isListed()));
  await until('but nobody else’s', async () => (await listAt(t, port)).length === 2);
  modest.client.destroy();
  await survivor.survived();
});

t.test(
  'who churns through hashes is slowed down, loses no row, and gets no more IDs than there are',
  async t => {
    const home = await tempFolder(t);
    const maxIds = 300;
    const words = [...WORDS, ...OPEN, '--max-ids', String(maxIds)];
    const tracker = await spawnCommand(t, 'tsp-tracker', words, { home });
    const { port } = await tracker.ready();
    const survivor = await watchSurvivor(tracker, () => listAt(t, port));
    const { client } = await registerHost(t, { port }, { songs: [] });
    // Each UPDATE brings songs that nobody has seen, and takes away those of the one before.
    const songsOf = (update: number): OfferRow[] =>
      range(ROWS_AN_UPDATE / 2).map(n => song((update * ROWS_AN_UPDATE) / 2 + n));
    const updates = range(Math.ceil((UPDATE_BURST + ROWS_PAST_BURST) / ROWS_AN_UPDATE));
    for (const update of updates) {
      const gone = update === 0 ? [] : songsOf(update - 1).map(({ hash }) => ({ hash, gone: true }) as const);
      client.send({ type: 'UPDATE', changes: [...songsOf(update), ...gone] });
    }
    const answers: Row[] = [];
    for (const update of updates) {
      answers.push(...(await client.await('SONG_IDS')).rows);
      if (update % 5 === 0) await listAt(t, port);
    }
    t.strictSame(
      answers.map(({ hash }) => hash).sort(),
      updates.flatMap(update => songsOf(update).map(({ hash }) => hash)).sort(),
      'each song was answered, once',
    );
    const ids = new Map(answers.flatMap(({ hash, id }) => (id === undefined ? [] : [[hash, id] as const])));
    t.strictSame(
      [...ids.values()].sort((a, b) => Number(a) - Number(b)),
      range(maxIds).map(n => n + 1),
    );
    t.ok(answers.every(({ id, error }) => id !== undefined || error === 'refused'));
    client.send({ type: 'UPDATE', changes: [song(999_999)] });
    t.strictSame((await client.await('SONG_IDS')).rows, [{ hash: hashOf(999_999), error: 'refused' }]);
    client.destroy();
    await survivor.survived();
    t.equal(await tracker.end(), 0);

    const next = await spawnCommand(t, 'tsp-tracker', words, { home });
    const { port: nextPort } = await next.ready();
    const [known, id] = [...ids][0]!;
    const songs = [{ hash: known as ContentHash }, song(999_998)];
    const again = await registerHost(t, { port: nextPort }, { songs });
    t.strictSame(again.ids, [
      { hash: known, id },
      { hash: hashOf(999_998), error: 'refused' },
    ]);
  },
);

t.test('--max-per-address 4: nobody has more, others and later ones are served', async t => {
  const tracker = await spawnCommand(t, 'tsp-tracker', [...WORDS, '--max-per-address', '4']);
  const { port } = await tracker.ready();
  const survivor = await watchSurvivor(tracker, () => listAt(t, port));
  const answers: number[] = [];
  const crowd = await Promise.all(range(30).map(() => connectFrom(t, port, 1)));
  for (const socket of crowd) {
    socket.once('data', (answer: Buffer) => answers.push(answer[0]!));
    socket.write(encode({ type: 'PING', value: 1 }));
  }
  await until('each was served or sent away', () => answers.length === crowd.length);
  const served = answers.filter(type => type === 0x07).length;
  t.ok(served > 0 && served <= 4, `${served} were served`);
  t.equal(answers.filter(type => type === 0xff).length, crowd.length - served, 'the others were told');
  const other = await connectFrom(t, port, 2);
  other.end(encode({ type: 'LIST' }));
  t.equal(await gone(other), 'ended');
  for (const socket of crowd) socket.destroy();
  await until('there is room for that address again', async () => {
    const socket = await connectFrom(t, port, 1);
    const answered = new Promise<boolean>(resolve => {
      socket.once('data', (answer: Buffer) => resolve(answer[0] === 0x07));
      socket.once('close', () => resolve(false));
    });
    socket.end(encode({ type: 'PING', value: 1 }));
    return await answered;
  });
  await survivor.survived();
});

t.test(
  'a host that dies after its proof is withdrawn with its connection, and everybody is told',
  async t => {
    const tracker = await spawnCommand(t, 'tsp-tracker', [...WORDS, ...OPEN]);
    const { port } = await tracker.ready();
    const survivor = await watchSurvivor(tracker, () => listAt(t, port));
    const { client: listener } = await registerListener(t, { port });
    for (const how of ['reset', 'close'] as const) {
      const host = await registerHost(t, { port }, { songs: [song(1), song(2)] });
      await listener.await('BROADCAST_LIST', ({ rows }) => rows.length === 2);
      host.client.destroy(how);
      await listener.await('BROADCAST_LIST', ({ rows }) => rows.some(row => row.gone === true));
      t.strictSame(await listAt(t, port), []);
    }
    listener.destroy();
    await survivor.survived();
  },
);

t.test('hosts that die while they are taken in leave nothing in the list', async t => {
  const tracker = await spawnCommand(t, 'tsp-tracker', [...WORDS, ...OPEN]);
  const { port } = await tracker.ready();
  const survivor = await watchSurvivor(tracker, () => listAt(t, port));
  /** Dies when this has come, or as soon as it has proven its address. */
  const lives = ['LIST', 'PONG', 'SONG_IDS', 'WELCOME', 'BROADCAST_LIST'] as const;
  for (const [round, last] of [...lives, ...lives, ...lives].entries()) {
    const client = await connectTsp(t, port);
    let prove: (() => void) | undefined;
    const proven = new Promise<void>(resolve => {
      prove = resolve;
    });
    const server = await listenTsp(t, async (dialled: TspClient) => {
      const { value } = await dialled.receive('PING');
      client.send({ type: 'PONG', value });
      prove?.();
    });
    const instance = randomBytes(8).toString('hex');
    client.send({ type: 'HELLO', port: server.port, hello: { tsp: 1, instance } });
    await client.receive('LIST');
    if (last !== 'LIST') {
      client.sendRows(
        { type: 'LIST_INFO', revision: 0 },
        range(200).map(n => song(round * 200 + n)),
      );
      await proven;
      if (last !== 'PONG') await client.await(last);
    }
    client.destroy(round % 2 === 0 ? 'reset' : 'close');
  }
  await until('nothing is listed', async () => (await listAt(t, port)).length === 0);
  const { client: witness } = await registerListener(t, { port });
  const host = await registerHost(t, { port }, { songs: [song(1)] });
  await witness.await('BROADCAST_LIST', ({ rows }) => rows.some(({ id }) => id === host.idOf(1)));
  t.equal((await listAt(t, port)).length, 1, 'nothing of them came back');
  witness.destroy();
  host.client.destroy();
  await survivor.survived();
});
