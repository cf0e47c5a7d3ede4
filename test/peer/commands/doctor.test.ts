/** What doctor finds on a machine that is in order, and on one that is not. */
import { createServer } from 'node:net';
import t from 'tap';
import { node, runDoctor } from '../../../peer/commands/doctor.js';
import { tempFolder } from '../../support/temp-folder.js';
import { FakeTracker, serverAt } from './fake-tracker.js';
import { configIn, TestWorld } from './test-world.js';

const findingsOf = (world: TestWorld) =>
  new Map(
    world.lines.map(line => {
      const finding = JSON.parse(line) as { check: string; state: string; says: string; todo?: string };
      return [finding.check, finding] as const;
    }),
  );

t.test('doctor writes a line a finding, and ends with 0 when nothing is broken', async t => {
  const folder = await tempFolder(t);
  const world = new TestWorld();
  const closed = await serverAt(t, socket => socket.destroy());
  const config = configIn(folder, { library: [folder], cacheBytes: 1, port: 0 });
  const code = await runDoctor({ ...config, tracker: closed }, { words: [] }, world);
  t.equal(code, 69, 'but for the tracker that was named');
  t.match(world.lines[0], /^✓ Node {6}\d+\.\d+/);
  t.match(world.stdout.text, /^✓ sound {5}null: as asked$/m);
  t.match(world.stdout.text, /^✓ sending {3}songs (go|are copied) .* network/m);
  t.match(world.stdout.text, /^(✓ ffmpeg {4}ffmpeg version|! ffmpeg {4}.*install)/m);
  t.match(world.stdout.text, new RegExp(`^✓ library {3}${folder}$`, 'm'));
  t.match(world.stdout.text, /^✓ data .* free$/m);
  t.match(world.stdout.text, /^✗ tracker .* → start one there/m);
  t.match(world.stdout.text, /^! port {6}not looked at/m);
});

t.test('doctor says what is wrong with folders and outputs, and what to do', async t => {
  const folder = await tempFolder(t);
  const world = new TestWorld();
  const config = configIn(folder, {
    library: ['/no/such/music'],
    dataDir: '/dev/null/data',
    output: 'file:/no/such/folder/out.wav',
    json: true,
  });
  // Whether some peer of this machine has a tracker on the usual port does not matter here.
  const code = await runDoctor({ ...config, tracker: { host: '127.0.0.1', port: 1 } }, { words: [] }, world);
  const found = findingsOf(world);
  t.match(found.get('library'), { state: 'problem', says: /no\/such\/music/, todo: /permissions/ });
  t.match(found.get('data'), { state: 'problem', says: /no folder/ });
  t.match(found.get('sound'), { state: 'problem', says: /no such file or folder/ });
  t.equal(code, 1, 'of the first problem');
});

t.test('doctor says that a port is taken', async t => {
  const taken = createServer();
  await new Promise<void>(resolve => taken.listen(0, '127.0.0.1', resolve));
  t.teardown(() => taken.close());
  const { port } = taken.address() as { port: number };
  const { reachability } = await import('../../../peer/commands/reachability.js');
  const config = configIn(await tempFolder(t), { port, host: '127.0.0.1' });
  await t.rejects(reachability(config, new TestWorld()), { message: /in use/ });
  const world = new TestWorld();
  const tracker = await new FakeTracker().start(t);
  t.equal(await runDoctor({ ...config, tracker, json: true }, { words: [] }, world), 69);
  t.match(findingsOf(world).get('port'), { state: 'problem', says: /in use/, todo: /--port 0/ });
});

t.test('an old Node is told what to install', async t => {
  t.match(node('18.20.0'), { state: 'problem', todo: /20\.19/ });
  t.match(node('20.18.0'), { state: 'problem' });
  t.match(node('20.19.0'), { state: 'fine' });
  t.match(node('24.1.0'), { state: 'fine' });
});
