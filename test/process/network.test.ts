/**
 * A tracker, hosts and listeners as whole processes: what everybody sees when files change, hosts come and go, the
 * tracker dies, and nobody is left but the cache.
 */
import { copyFile, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { besideOthers } from '../support/beside-others.js';
import { mp3Bytes } from '../support/mp3.js';
import { hashOf, openNetwork } from '../support/network.js';
import { spawnCommand } from '../support/spawn-command.js';
import { connectTsp } from '../support/tsp-client.js';
import { until } from '../support/until.js';

const FIRST = mp3Bytes({ seconds: 2, seed: 1, title: 'Fandango', artist: 'Ana' });
const SECOND = mp3Bytes({ seconds: 2, seed: 2, title: 'Bulería', artist: 'Benito' });

// A test mostly waits.
t.jobs = 3;

t.test(
  'a tracker that is killed and started again gives every song the ID that it had',
  besideOthers(),
  async t => {
    const network = await openNetwork(t);
    await network.host({ songs: { 'a.mp3': FIRST, 'b.mp3': SECOND } });
    const idsOf = async () => [await network.idOf(FIRST), await network.idOf(SECOND)];
    const before = await idsOf();

    network.tracker.kill('SIGKILL');
    await network.tracker.exited;
    const home = join(network.folder, 'tracker');
    const args = ['--port', String(network.trackerPort), '--host', '127.0.0.1'];
    const again = await spawnCommand(t, 'tsp-tracker', args, { home });
    await again.ready();

    t.same(await idsOf(), before, 'at once: hosts that it knew are awaited, not forgotten');
    const third = mp3Bytes({ seconds: 2, seed: 3, title: 'Tango' });
    const newcomer = await network.host({ songs: { 'c.mp3': third } });
    t.ok((await network.idOf(third)) > Math.max(...before), 'a new song gets a new ID');
    t.same(await idsOf(), before);
    await newcomer.command.end();
    await until(
      'the song of a host that left is gone',
      async () => !(await network.list()).some(row => row.hash === hashOf(third)),
    );
  },
);

t.test(
  'the same song on two hosts is one song; each changes only what it says itself',
  besideOthers(),
  async t => {
    const network = await openNetwork(t);
    const mine = await network.host({ songs: { 'mine.mp3': FIRST } });
    const id = await network.idOf(FIRST);
    const other = await connectTsp(t, network.trackerPort);
    const stranger = await network.scriptedHost(FIRST, () => {});
    t.equal((await network.list()).length, 1);
    stranger.registration.send({
      type: 'UPDATE',
      changes: [{ hash: hashOf(FIRST), title: 'Mine now' }],
    });
    await stranger.registration.receive('SONG_IDS');
    const titleOf = async () => {
      other.send({ type: 'INFO', song: id });
      return (await other.receive('SONG_INFO')).rows[0]?.title;
    };
    t.equal(await titleOf(), 'Fandango', 'the longest-standing host names the song');
    stranger.registration.send({ type: 'UPDATE', changes: [{ hash: hashOf(FIRST), gone: true }] });
    await stranger.registration.receive('SONG_IDS');
    t.equal(await titleOf(), 'Fandango', 'and nobody removes another host’s song');
    await mine.command.end();
  },
);

t.test(
  'files that are added, renamed, retagged and removed show in every listener’s list',
  besideOthers(),
  async t => {
    const network = await openNetwork(t);
    const host = await network.host({ songs: { 'a.mp3': FIRST } });
    const listener = await connectTsp(t, network.trackerPort);
    listener.send({ type: 'HELLO', port: 0, hello: { tsp: 1 } });
    await listener.await('BROADCAST_LIST');
    const id = await network.idOf(FIRST);

    await writeFile(join(host.folder, 'b.mp3'), SECOND);
    const added = await listener.await('BROADCAST_LIST', ({ rows }) =>
      rows.some(row => row.hash === hashOf(SECOND)),
    );
    t.match(added.rows, [{ title: 'Bulería', artist: 'Benito' }]);

    await rename(join(host.folder, 'a.mp3'), join(host.folder, 'renamed.mp3'));
    const retagged = mp3Bytes({ seconds: 2, seed: 2, title: 'Bulería por soleá', artist: 'Benito' });
    await writeFile(join(host.folder, 'b.mp3'), retagged);
    await listener.await('BROADCAST_LIST', ({ rows }) => rows.some(row => row.title === 'Bulería por soleá'));
    t.equal(await network.idOf(FIRST), id, 'a renamed file is the same song');

    await rm(join(host.folder, 'b.mp3'));
    const other = await network.idOf(retagged);
    await listener.await('BROADCAST_LIST', ({ rows }) =>
      rows.some(row => row.id === other && Array.isArray(row.hosts) && row.hosts.length === 0),
    );
    t.equal((await network.list()).length, 1);

    await rename(host.folder, `${host.folder}-away`);
    await until(
      'a folder that vanished withdraws its songs',
      async () => (await network.list()).length === 0,
    );
    await rename(`${host.folder}-away`, host.folder);
    t.equal(await network.idOf(FIRST), id, 'and they come back with it');
  },
);

t.test(
  'a song that was fetched yesterday needs no network, and is offered only if asked to',
  besideOthers(),
  async t => {
    const network = await openNetwork(t);
    const host = await network.host({ songs: { 'a.mp3': FIRST } });
    const id = String(await network.idOf(FIRST));
    const home = await network.newHome();
    const listener = await network.run(['--json', '--port', '0', '--output', 'null', '--share-cache'], home);
    await listener.says(/"event":"list"/);
    listener.write(`play ${id}\n`);
    await listener.says(/"event":"ended"/);
    await until('the cache is shared', async () => {
      const row = (await network.list()).find(({ hash }) => hash === hashOf(FIRST));
      return (row?.hosts as string[] | undefined)?.length === 2;
    });
    host.command.kill('SIGKILL');
    await host.command.exited;
    listener.write(`play ${id}\n`);
    const [, played] = await until('it is played again', () => {
      const ends = listener.rows.filter(row => row.event === 'ended');
      return ends.length === 2 ? ends : undefined;
    });
    t.match(JSON.stringify(played), /cache/);

    const copy = join(await network.newHome(), 'copy.mp3');
    const third = await network.run(['get', id, '-o', copy]);
    t.equal(await third.exitCode(), 0, 'the listener is a host now');
  },
);

t.test(
  'a peer whose data folder was copied is told what the copy must do without',
  besideOthers(),
  async t => {
    const network = await openNetwork(t);
    const data = async () => join(await network.newHome(), 'data');
    const [first, copied] = [await data(), await data()];
    const host = await network.host({ songs: { 'a.mp3': FIRST }, args: ['--data', first] });
    await mkdir(copied);
    await copyFile(join(first, 'instance'), join(copied, 'instance'));
    await network.host({ songs: { 'b.mp3': SECOND }, args: ['--data', copied] });
    await host.command.says(/Another peer registered as this one.*without its file instance/);
  },
);

t.test('a list that is no list, and a tracker that is none', besideOthers(), async t => {
  const home = join((await openNetwork(t)).folder, 'nobody');
  await mkdir(home);
  const nobody = await spawnCommand(t, 'tsp-peer', ['list', '--tracker', '127.0.0.1:9'], { home });
  t.equal(await nobody.exitCode(), 69);
  t.match(nobody.stderr, /127\.0\.0\.1:9/);
});
