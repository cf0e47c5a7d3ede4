/** How a peer is run: by a person, a script, or nobody; what it prints first, when it ends, and with which code. */
import t from 'tap';
import type { PeerConfig } from '../../peer/config.js';
import { CommandError } from '../../peer/failures/failure.js';
import { OfferedSongs, type SongSource } from '../../peer/hosting/offered-songs.js';
import type { CatalogueChange, HostedSong } from '../../peer/library/catalogue.js';
import { likelyHosts, MOST_HOSTS } from '../../peer/listening/likely-hosts.js';
import { MAX_UNREAD_BYTES } from '../../peer/prompt/script.js';
import { operate, type RunnablePeer } from '../../peer/run-peer.js';
import { loadInstance } from '../../peer/tracker-client/instance.js';
import { LocalTracker } from '../../peer/tracker-client/local-tracker.js';
import type { EmbeddedTracker } from '../../peer/world.js';
import type { ContentHash } from '../../protocol/tsp/rows.js';
import { openWireTrace } from '../../src/wire-trace.js';
import { RecordingLogger } from '../support/recording-logger.js';
import { tempFolder } from '../support/temp-folder.js';
import { until } from '../support/until.js';
import { VirtualClock } from '../support/virtual-clock.js';
import { serverAt } from './commands/fake-tracker.js';
import { configIn, TestWorld } from './commands/test-world.js';
import { FakePeer, songRow } from './prompt/fake-peer.js';

class FakeRunnable extends FakePeer {
  started = false;
  stopped = false;
  startError: Error | undefined;
  registered: () => void = () => {};
  readonly #attempted = new Promise<void>(resolve => {
    this.registered = resolve;
  });

  async start(): Promise<{ address: string; port: number }> {
    if (this.startError) throw this.startError;
    this.started = true;
    return { address: '::', port: 7461 };
  }
  attempted(): Promise<void> {
    return this.#attempted;
  }
  async settled(): Promise<void> {}
}

/** `stop` of a peer ends the peer; `stop` of its player, the song. */
function runnable(fake: FakeRunnable): RunnablePeer {
  return new Proxy(fake, {
    get(target, key) {
      if (key === 'stop') {
        return async () => {
          target.stopped = true;
          if (target.now.song) target.end(target.now.song, 'stopped');
        };
      }
      const value = Reflect.get(target, key, target) as unknown;
      return typeof value === 'function' ? value.bind(target) : value;
    },
  }) as unknown as RunnablePeer;
}

function run(
  changes: Partial<PeerConfig> = {},
  prepare: (world: TestWorld, fake: FakeRunnable) => void = () => {},
) {
  const fake = new FakeRunnable();
  fake.songs = [songRow(10, 'Blue Moon')];
  const world = new TestWorld();
  prepare(world, fake);
  const code = operate(runnable(fake), configIn('/tmp/nowhere-torero', changes), world);
  return { fake, world, code };
}

t.test(
  'headless: the ready line is the first line, and comes when the first registration was tried',
  async t => {
    const { fake, world, code } = run({ headless: true, json: true }, world => world.stdin.end());
    fake.emit({ kind: 'library', songs: 3 });
    await until('it starts', () => fake.started);
    t.same(world.lines, []);
    fake.registered();
    await until('two lines', () => world.lines.length === 2);
    t.same(
      world.lines.map(line => JSON.parse(line)),
      [
        { event: 'ready', address: '::', port: 7461, tracker: '127.0.0.1:7460', listed: ['192.0.2.7:7461'] },
        { event: 'library', songs: 3 },
      ],
    );
    world.end('SIGTERM');
    t.equal(await code, 0, 'which is how hosts are ended');
    t.ok(fake.stopped);
  },
);

t.test('headless without a tracker says so in the ready line, and in words it is one line', async t => {
  const { fake, world, code } = run({ headless: true }, (_, fake) => {
    fake.tracker = { ...fake.tracker, state: 'absent' };
  });
  fake.registered();
  await until('ready', () => world.lines.length === 1);
  t.equal(world.lines[0], 'tsp-peer ready on [::]:7461');
  world.end('SIGINT');
  t.equal(await code, 130);
  const second = run({ headless: true, json: true }, (_, fake) => {
    fake.tracker = { ...fake.tracker, state: 'absent' };
  });
  second.fake.registered();
  await until('ready', () => second.world.lines.length === 1);
  t.match(JSON.parse(second.world.lines[0]!), { tracker: null });
  second.world.end('SIGTERM');
  await second.code;
});

t.test('headless: commands from a pipe are answered, and the end of the pipe changes nothing', async t => {
  const { fake, world, code } = run({ headless: true }, world => world.stdin.end('status\nnonsense\n'));
  fake.registered();
  await until('answers', () => world.stdout.text.includes('nonsense'));
  world.end('SIGTERM');
  t.equal(await code, 0);
});

t.test('events and traces that nobody reads do not pile up; answers come whole', async t => {
  const { fake, world, code } = run({ headless: true, json: true }, world => {
    // As a pipe to a program that was stopped.
    world.stdout._write = () => {};
    world.stderr._write = () => {};
  });
  fake.registered();
  await until('it is ready', () => world.stdout.writableLength > 0);
  for (let event = 0; event < 20_000; event += 1) fake.emit({ kind: 'notice', message: 'x'.repeat(1_000) });
  t.ok(world.stdout.writableLength < MAX_UNREAD_BYTES + 2_000);
  world.stdin.write('list\n');
  const before = world.stdout.writableLength;
  await until('the answer is written', () => world.stdout.writableLength > before);
  const trace = openWireTrace(world.stderr, world.clock);
  for (let line = 0; line < 20_000; line += 1) trace.line('x'.repeat(1_000));
  t.ok(world.stderr.writableLength < MAX_UNREAD_BYTES + 2_000);
  world.end('SIGTERM');
  t.equal(await code, 0);
});

t.test('a script ends when its queue is played out, with the code of what failed last', async t => {
  const { fake, world, code } = run({}, world => world.stdin.end('pley\nplay 10\n'));
  await until('it plays', () => fake.now.state === 'playing');
  fake.end(fake.songs[0]!);
  t.equal(await code, 2);
  t.match(world.stdout.text, /Did you mean play[\s\S]*▶ Blue Moon[\s\S]*verified/);
  t.equal(await run({}, world => world.stdin.end('list\n')).code, 0);
});

t.test('with sound on stdout, answers go to stderr', async t => {
  const { world, code } = run({ output: 'stdout' }, world => world.stdin.end('list\n'));
  await code;
  t.equal(world.stdout.text, '');
  t.match(world.stderr.text, /Blue Moon/);
});

t.test('on a terminal there is a prompt, until quit, Ctrl-D or a signal', async t => {
  const terminal = (world: TestWorld) => {
    world.isTerminal = { stdin: true, stdout: true, stderr: true };
  };
  const quitting = run({}, terminal);
  await until('a prompt', () => quitting.world.stdout.text.includes('torero> '));
  quitting.fake.play([quitting.fake.songs[0]!]);
  quitting.world.stdin.write('quit\r');
  t.equal(await quitting.code, 0);
  t.match(quitting.world.stdout.text, /verified · stopped/, 'the song that was cut off is summed up too');
  const ended = run({}, terminal);
  await until('a prompt', () => ended.world.stdout.text.includes('torero> '));
  ended.world.end('SIGHUP');
  t.equal(await ended.code, 129);
});

t.test('a peer that cannot start is an error, after it was stopped', async t => {
  const error = new CommandError({ code: 'in-use', exitCode: 69, message: 'Port 7461 is in use.' });
  for (const isTerminal of [true, false]) {
    const { code, fake } = run({}, (world, fake) => {
      world.isTerminal = { stdin: isTerminal, stdout: isTerminal, stderr: isTerminal };
      fake.startError = error;
    });
    await t.rejects(code, error);
    t.ok(fake.stopped);
  }
});

const hosted = (name: string, path = name): HostedSong => {
  const hash = Buffer.from(name.padEnd(32)).toString('hex') as ContentHash;
  return {
    hash,
    path,
    size: 1,
    mtimeNs: 0n,
    ctimeNs: 0n,
    inode: 0n,
    offer: { hash },
    nodes: new Uint8Array(32),
  };
};

class FakeSource implements SongSource {
  readonly held = new Map<ContentHash, HostedSong>();
  listener: (change: CatalogueChange) => void = () => {};
  get = (hash: ContentHash) => this.held.get(hash);
  songs = () => this.held.values();
  onChange(listener: (change: CatalogueChange) => void) {
    this.listener = listener;
    return () => {};
  }
  put(song: HostedSong): void {
    this.held.set(song.hash, song);
    this.listener({ changed: [song], removed: [] });
  }
  remove({ hash }: HostedSong): void {
    this.held.delete(hash);
    this.listener({ changed: [], removed: [hash] });
  }
}

t.test(
  'library and cache are offered as one, and a song in both leaves only with the last of them',
  async t => {
    const library = new FakeSource();
    const cache = new FakeSource();
    const offered = new OfferedSongs([library, cache]);
    const told: string[] = [];
    const stop = offered.onChange(({ changed, removed }) => {
      told.push(`+${changed.map(song => song.path)} -${removed.length}`);
    });
    library.put(hosted('a'));
    cache.put(hosted('a', 'cached a'));
    cache.put(hosted('b'));
    t.same(
      [...offered.songs()].map(song => song.path),
      ['a', 'b'],
    );
    t.equal(offered.size, 2);
    library.remove(hosted('a'));
    t.equal(offered.get(hosted('a').hash)?.path, 'cached a');
    cache.remove(hosted('a'));
    cache.remove(hosted('b'));
    t.same(told, ['+a -0', '+b -0', '+cached a -0', '+ -1', '+ -1']);
    stop();
  },
);

t.test('the likeliest hosts are those of most of what was shown', async t => {
  const rows = [
    ['a', 'b'],
    ['b'],
    ['b', 'c'],
    ['c'],
    ...Array.from({ length: 20 }, (_, index) => [`x${index}`]),
  ];
  const hosts = likelyHosts(rows, row => row);
  t.equal(hosts.length, MOST_HOSTS);
  t.same(hosts.slice(-2), ['c', 'b']);
});

t.test('the instance secret is made once, and kept for its owner only', async t => {
  const folder = await tempFolder(t);
  let byte = 0;
  const random = (length: number) => Buffer.alloc(length, ++byte);
  const first = await loadInstance(`${folder}/data`, random, new RecordingLogger());
  t.equal(first, '01'.repeat(16));
  t.equal(await loadInstance(`${folder}/data`, random, new RecordingLogger()), first);
  const logger = new RecordingLogger();
  t.equal((await loadInstance('/dev/null/data', random, logger)).length, 32);
  t.equal(logger.entries.length, 1);
});

t.test(
  'a peer of no tracker uses the one on this machine, opens one if there is none, and takes over when it goes',
  async t => {
    const clock = new VirtualClock();
    const opened: EmbeddedTracker[] = [];
    let openings = 0;
    let stops = 0;
    const busy = await serverAt(t, () => {});
    const make = (port: number, result: () => Promise<EmbeddedTracker | undefined>) =>
      new LocalTracker({
        port,
        host: undefined,
        open: () => {
          openings += 1;
          return result();
        },
        clock,
        logger: new RecordingLogger(),
        randomUnit: () => 0.5,
        opened: tracker => opened.push(tracker),
        failed: () => {},
      });
    const there = make(busy.port, () => Promise.reject(new Error('never asked')));
    await there.start();
    t.equal(openings, 0);
    t.equal(there.isEmbedded, false);
    await there.stop();

    const lost = { count: 0 };
    const alone = make(1, async () => {
      lost.count += 1;
      if (lost.count < 3) return undefined;
      return {
        address: '127.0.0.1',
        port: 1,
        stop: async () => {
          stops += 1;
        },
      };
    });
    await alone.start();
    t.equal(alone.isEmbedded, false, 'another process was quicker');
    alone.linkIsDown();
    await until('it is opened here', async () => {
      await clock.advanceSlowly(1_000);
      return alone.isEmbedded;
    });
    t.equal(opened.length, 1);
    alone.linkIsUp();
    t.equal(clock.pending, 0);
    const stopped = alone.stop();
    await until('it ends', async () => {
      await clock.advanceSlowly(100);
      return stops === 1;
    });
    await stopped;
    const onLan = new LocalTracker({
      port: 7460,
      host: '192.0.2.1',
      open: () => Promise.resolve(undefined),
      clock,
      logger: new RecordingLogger(),
      randomUnit: () => 0,
      opened: () => {},
      failed: () => {},
    });
    t.same(onLan.address, { host: '192.0.2.1', port: 7460 });

    const failures: unknown[] = [];
    const broken = new LocalTracker({
      port: 1,
      host: undefined,
      open: () => Promise.reject(new Error('damaged')),
      clock,
      logger: new RecordingLogger(),
      randomUnit: () => 0,
      opened: () => {},
      failed: error => failures.push(error),
    });
    await broken.start();
    await broken.start();
    t.equal(failures.length, 1, 'what fails again for the same reason is told once');
  },
);
