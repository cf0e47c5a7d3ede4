/** The real tsp-tracker, as a shell and a script see it: its first line, five bytes, ports and folders that can't be had, signals. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { listening, run, startTracker } from '../support/run-command.js';
import { spawnCommand } from '../support/spawn-command.js';
import { tempFolder } from '../support/temp-folder.js';
import { connectTsp, netcat } from '../support/tsp-client.js';

const LIST = '\x01\0\0\0\0';

t.test('the first line says where the tracker is, and five bytes get the list', async t => {
  const tracker = await startTracker(t);
  const { address, port } = await tracker.ready();
  t.equal(tracker.lines[0], `tsp-tracker ready on 127.0.0.1:${port}`);
  t.equal(address, '127.0.0.1');
  t.same([...(await netcat(t, port, LIST))].slice(0, 1), [0x81]);
  t.equal(await tracker.end(), 0, 'SIGTERM ends it in order');

  const json = await startTracker(t, ['--json', '--trace-wire']);
  const at = await json.ready();
  t.same(json.rows[0], { event: 'ready', address: '127.0.0.1', port: at.port });
  await netcat(t, at.port, LIST);
  await json.complains(/LIST_INFO/);
  json.kill('SIGINT');
  t.equal(await json.exitCode(), 130, 'Ctrl-C is told on');
});

t.test('a tracker on every address of the machine says so, and is reached by IPv4', async t => {
  const tracker = await spawnCommand(t, 'tsp-tracker', ['--port', '0', '--log-level', 'silent']);
  const { port } = await tracker.ready();
  t.match(tracker.lines[0], /^tsp-tracker ready on (\[::\]|0\.0\.0\.0):\d+$/);
  t.same([...(await netcat(t, port, LIST))].slice(0, 1), [0x81]);
});

t.test(
  'a port in use, a foreign address and a folder that is no folder are told with what to do',
  async t => {
    const { port } = await listening(t);
    const taken = await run(t, 'tsp-tracker', ['--host', '127.0.0.1', '--port', String(port)]);
    t.match(taken, { code: 69, stderr: new RegExp(`Port ${port} is in use.*\\n  ss -ltunp`) });
    const json = await run(t, 'tsp-tracker', ['--host', '127.0.0.1', '--port', String(port), '--json']);
    t.match(JSON.parse(json.stderr), { error: { code: 'in-use', hint: /--port 0/ } });
    const twice = await run(t, 'tsp-tracker', ['--port', String(port), '--swarm-port', String(port)]);
    t.match(twice, { code: 2, stderr: `--swarm-port: ${port} is not a port of its own` });
    t.match(await run(t, 'tsp-tracker', ['--host', '192.0.2.1', '--port', '0']), {
      code: 78,
      stderr: /no address of this machine/,
    });
    const file = join(await tempFolder(t), 'file');
    writeFileSync(file, '');
    t.match(await run(t, 'tsp-tracker', ['--port', '0', '--data', join(file, 'x')]), {
      code: 78,
      stderr: /no folder/,
    });
  },
);

t.test('one tracker a folder, and after a crash the next', async t => {
  const home = await tempFolder(t);
  const first = await startTracker(t, [], home);
  await first.ready();
  const second = await startTracker(t, [], home);
  t.equal(await second.exitCode(), 69);
  t.match(second.stderr, new RegExp(`Process ${first.pid} works in ${home}`));
  t.match(second.stderr, 'what it is (a peer that finds no tracker runs one', 'the usual surprise');
  first.kill('SIGKILL');
  await first.exited;
  const third = await startTracker(t, [], home);
  await third.ready();
  t.ok(third.running);
});

t.test('a tracker whose output nobody reads goes on', async t => {
  const tracker = await startTracker(t, ['--trace-wire']);
  const { port } = await tracker.ready();
  tracker.child.stdout.destroy();
  tracker.child.stderr.destroy();
  for (let ask = 0; ask < 3; ask += 1) t.same([...(await netcat(t, port, LIST))].slice(0, 1), [0x81]);
  t.ok(tracker.running);
});

t.test('a second signal ends it at once', async t => {
  const tracker = await startTracker(t, [], await tempFolder(t));
  const { port } = await tracker.ready();
  await connectTsp(t, port);
  tracker.kill('SIGTERM');
  tracker.kill('SIGTERM');
  const { code, signal } = await tracker.exited;
  t.ok(signal === 'SIGTERM' || code === 0, 'unless it had ended already');
});
