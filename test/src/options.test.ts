/**
 * How a command comes to its options: what the command line says, which of five places goes first,
 * and what is said when one of them is wrong.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { CommandError, failureOf } from '../../peer/failures/failure.js';
import { closestTo, didYouMean } from '../../peer/prompt/did-you-mean.js';
import { ConfigError } from '../../protocol/errors.js';
import { anyHost } from '../../src/any-host.js';
import { completionScript, completionsFor } from '../../src/completion.js';
import { wrongInUse } from '../../src/options.js';
import { peerCommandLine, peerConfig, peerOptions } from '../../src/peer-options.js';
import { readOptions } from '../../src/read-options.js';
import { trackerCommandLine, trackerConfig } from '../../src/tracker-options.js';
import { homeFolder, xdgFolder } from '../../src/xdg.js';
import { tempFolder } from '../support/temp-folder.js';
import type { Teardown } from '../support/until.js';

/** A home whose configuration file says this. */
async function homeWith(
  t: Teardown,
  config?: unknown,
): Promise<{ env: Record<string, string>; path: string }> {
  const home = await tempFolder(t);
  const path = join(home, 'tsp', 'config.json');
  mkdirSync(join(home, 'tsp'));
  if (config !== undefined) writeFileSync(path, typeof config === 'string' ? config : JSON.stringify(config));
  return { env: { XDG_CONFIG_HOME: home, XDG_DATA_HOME: '/data' }, path };
}

const peer = (argv: string, env: Record<string, string>) =>
  readOptions(peerCommandLine(env), argv.split(' ').filter(Boolean), env, 100);
const tracker = (argv: string, env: Record<string, string>) =>
  readOptions(trackerCommandLine(env), argv.split(' ').filter(Boolean), env, 100);

/** What a peer would run with. */
async function peerRun(argv: string, env: Record<string, string>) {
  const invocation = await peer(argv, env);
  if (invocation.kind !== 'run') throw new Error(invocation.text);
  return invocation;
}

async function failure(promise: Promise<unknown>) {
  try {
    await promise;
  } catch (error) {
    return { error, ...failureOf(error) };
  }
  throw new Error('nothing failed');
}

t.test(
  'a flag goes before the environment, that before a named file, that before the user’s own, that before the default',
  async t => {
    const { env, path } = await homeWith(t, { port: 1, slots: 1, cache: 1, name: 'own' });
    const named = join(await tempFolder(t), 'named.json');
    writeFileSync(named, JSON.stringify({ port: 2, slots: 2, cache: 2 }));
    const all = { ...env, TSP_PORT: '3', TSP_SLOTS: '3' };
    const { values, origins } = await peerRun(`--port 4 --config ${named}`, all);
    t.match(values, { port: 4, slots: 3, cache: 2, name: 'own', decoder: 'auto' });
    t.match(origins, { port: 'flag', slots: 'TSP_SLOTS', cache: named, name: path, decoder: 'default' });
    t.match(
      (await peerRun('', { ...all, TSP_CONFIG: named })).values,
      { port: 3, cache: 2 },
      'TSP_CONFIG names a file too',
    );
  },
);

t.test('a section of the file is for one command and goes before what stands outside', async t => {
  const { env } = await homeWith(t, {
    'log-level': 'error',
    port: 5,
    'tsp-peer': { port: 6, library: ['/a', '/b'], maxUpload: '1M' },
    'tsp-tracker': { port: 7, 'max-songs': '1k' },
  });
  t.match((await peerRun('', env)).values, {
    port: 6,
    'log-level': 'error',
    library: ['/a', '/b'],
    'max-upload': 1_000_000,
  });
  const invocation = await tracker('', env);
  t.match(invocation, { kind: 'run', values: { port: 7, 'max-songs': 1000, 'log-level': 'error' } });
});

t.test('each wrong value is told with the place where it stood', async t => {
  const { env, path } = await homeWith(t, { slots: 'many' });
  const inFile = await failure(peer('', env));
  t.match(inFile, { exitCode: 78, error: ConfigError });
  t.match(inFile.message, `${path}: slots: "many" is not a number`);
  t.match(await failure(peer('--slots 3', { ...env, TSP_PORT: 'x' })), {
    exitCode: 78,
    message: /^TSP_PORT: "x" is not a port/,
  });
  t.match(await failure(peer('--slots 3 --port x', env)), {
    exitCode: 2,
    message: /^--port: "x" is not a port/,
    code: 'usage',
  });
  const wrong: [content: object, message: RegExp][] = [
    [{ library: [{}] }, /library: \{\} is not the path of a folder/],
    [{ headless: 'perhaps' }, /headless: "perhaps" is not true or false/],
    [{ headless: 1 }, /headless: 1 is not true or false/],
    [{ tracker: 5 }, /tracker: 5 is not HOST:PORT/],
    [{ name: true }, /name: true is not a name/],
    [{ rtmp: [1935] }, /rtmp: \[1935\] is not PORT, HOST or HOST:PORT/],
  ];
  for (const [content, message] of wrong)
    t.match(await failure(peer('', (await homeWith(t, content)).env)), { exitCode: 78, message });
});

t.test('what only its use shows to be wrong is told with that place too', async t => {
  const { env, path } = await homeWith(t, { library: '/nowhere' });
  const { origins } = await peerRun('--port 0', { ...env, TSP_NAME: 'x' });
  const told = (key: string) => wrongInUse(new ConfigError(key, '/nowhere', 'a folder'), origins);
  t.match(told('library'), { key: `${path}: library`, name: 'ConfigError' });
  t.match(told('name'), { key: 'TSP_NAME' });
  t.match(told('port'), { failure: { exitCode: 2, message: /^--port: "\/nowhere" is not a folder\.$/ } });
  t.match(told('slots'), { key: 'slots' });
  const other = new Error('of something else');
  t.equal(wrongInUse(other, origins), other);
});

t.test('a configuration file that is missing, torn, no object, too large or misspelt is refused', async t => {
  const { env: torn } = await homeWith(t, '{ "port": ');
  t.match(await failure(peer('', torn)), {
    exitCode: 78,
    message: /^the usual configuration file: ".*config\.json" is not JSON/,
  });
  const { env: list } = await homeWith(t, []);
  t.match(await failure(peer('', list)), { exitCode: 78, message: /is not a JSON object/ });
  const { env: section } = await homeWith(t, { 'tsp-peer': 5 });
  t.match(await failure(peer('', section)), { exitCode: 78, message: /is not an object of options/ });
  const { env: typo } = await homeWith(t, { slosts: 5 });
  t.match(await failure(peer('', typo)), { exitCode: 78, message: /: "slosts" is not .*did you mean slots/ });
  const { env: large } = await homeWith(t, ' '.repeat(1024 * 1024 + 1));
  t.match(await failure(peer('', large)), { exitCode: 78, message: /too large/ });
  const { env } = await homeWith(t);
  t.match(await failure(peer('--config /nowhere/x.json', env)), {
    exitCode: 78,
    message: /^--config: .* can be read \(ENOENT\)/,
  });
  t.match(
    (await peerRun('', { ...env, XDG_CONFIG_HOME: '/nowhere' })).values,
    { slots: 8 },
    'the usual one may be missing',
  );
  const { env: mark } = await homeWith(t, '\ufeff{"slots":3}');
  t.match((await peerRun('', mark)).values, { slots: 3 }, 'a byte order mark is no harm');
});

t.test('options that are given wrongly are a wrong use', async t => {
  const { env } = await homeWith(t);
  for (const [argv, message] of [
    ['--prot 5', /Unknown option --prot \(did you mean --port\?\)/],
    ['--zzzzzz', /Unknown option --zzzzzz\.$/],
    ['-x', /Unknown option -x/],
    ['--port 1 --port 2', /--port was given 2 times/],
    ['--port', /--port wants a value/],
    ['--port --json', /--port wants a value/],
    ['--port=', /--port: "" is not a port/],
    ['get 1 -o', /^-o wants a value/],
    ['--no-port', /^--port wants a value: there is no --no-port/],
    ['--library a --no-library', /^--library wants a value/],
    ['--encode=maybe', /--encode: "maybe" is not true or false/],
    ['--encode=constructor', /"constructor" is not true or false/],
    ['lst', /no command "lst" \(did you mean list\?\)/],
    ['get', /wants to know what: tsp-peer get <song>/],
    ['get 1 2', /Too many words/],
    ['find', /wants to know what: tsp-peer find/],
    ['doctor 1', /Too many words/],
    ['list -o x', /--out is for tsp-peer get/],
  ] as const) {
    const told = await failure(peer(argv, env));
    t.match(told, { exitCode: 2, code: 'usage', error: CommandError, message }, argv);
  }
  t.match(await failure(tracker('list', env)), { exitCode: 2, message: /no command "list"/ });
  const { values } = await peerRun('--encode=yes --swarm=off --json=TRUE', env);
  t.match(values, { encode: true, swarm: false, json: true }, 'a flag may be given a value all the same');
});

t.test('words of a command stay text, whatever they look like', async t => {
  const { env } = await homeWith(t);
  t.match(await peerRun('get 4294967296 -o /x.mp3', env), {
    command: 'get',
    words: ['4294967296'],
    values: { out: '/x.mp3' },
  });
  t.match(await peerRun('find 007 1e3 true', env), { command: 'find', words: ['007', '1e3', 'true'] });
  t.match(await peerRun('list -- --json', env), {
    command: 'list',
    words: ['--json'],
    values: { json: false },
  });
  t.match(await peerRun('--json play 10 11 --output null', env), {
    command: 'play',
    words: ['10', '11'],
    values: { json: true },
  });
  t.match(await peerRun('info', env), { command: 'info', words: [] });
  for (const [argv, command, words] of [
    ['hash a.mp3 -', 'hash', ['a.mp3', '-']],
    ['hash --json -- -x.mp3 --', 'hash', ['-x.mp3', '--']],
    ['swarm --no-color hash -', 'swarm', ['hash', '-']],
    ['find "1999" =0 --no-json', 'find', ['"1999"', '=0']],
    ['--name "x" -- hash -h', 'hash', ['-h']],
  ] as const) {
    const run = await peerRun(argv, env);
    t.strictSame([run.command, run.words], [command, words], argv);
  }
  t.match(await peerRun("get -o - 1 --name 'x'", env), { words: ['1'], values: { out: '-', name: "'x'" } });
});

t.test('lists may be given several times, in the environment with separators', async t => {
  const { env } = await homeWith(t);
  t.match((await peerRun('--library /a --library /b', env)).values, { library: ['/a', '/b'] });
  t.match((await peerRun('', { ...env, TSP_LIBRARY: '/a:/b', TSP_ADVERTISE: 'a:1,b' })).values, {
    library: ['/a', '/b'],
    advertise: [
      { host: 'a', port: 1 },
      { host: 'b', port: 7461 },
    ],
  });
  t.match(
    (await peerRun('--no-color --encode', { ...env, TSP_ENCODE: 'no', TSP_HEADLESS: 'yes', TSP_NAME: '' }))
      .values,
    {
      color: false,
      encode: true,
      headless: true,
      name: undefined,
    },
  );
});

t.test('--print-config shows every option with its value, its default and where it came from', async t => {
  const { env, path } = await homeWith(t, { cache: '5G' });
  const shown = await peer('--print-config --json --library /a', { ...env, TSP_SLOTS: '0' });
  if (shown.kind !== 'text') throw new Error('it runs');
  const rows = shown.text
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line));
  t.same(
    rows.map(({ option }) => option).sort(),
    Object.keys(peerOptions(env))
      .filter(name => name !== 'print-config')
      .sort(),
  );
  const row = (name: string) => rows.find(({ option }) => option === name);
  t.same(row('cache'), { option: 'cache', value: 5e9, default: 2e9, source: path });
  t.same(row('slots'), { option: 'slots', value: 0, default: 8, source: 'TSP_SLOTS' });
  t.same(row('library'), { option: 'library', value: ['/a'], default: [], source: 'flag' });
  t.same(row('tracker'), { option: 'tracker', value: null, default: null, source: 'default' });
  t.same(row('size'), { option: 'size', value: null, default: null, source: 'default' });
  t.same(row('rtmp'), { option: 'rtmp', value: null, default: null, source: 'default' }, 'off, not chosen');
  t.match(await peer('--print-config', env), { kind: 'text', text: /^buffer +– +– +default$/m });
  const table = await tracker('--print-config', { ...env, TSP_MAX_SONGS: '1M' });
  t.match(table, { kind: 'text', text: /^max-songs +1M +200k +TSP_MAX_SONGS$/m });
  t.match(table, { text: /^color +yes +yes +default$/m });
});

t.test('help has examples, and shows a command only what it can use', async t => {
  const { env } = await homeWith(t);
  t.match(await peer('--help', env), { kind: 'text', text: /Examples:[\s\S]*tsp-peer get 10 -o song\.mp3/ });
  const get = await peer('get --help', env);
  t.match(get, { text: /-o, --out/ });
  t.notMatch(get, { text: /--slots/ });
  t.match(await peer('doctor --help', env), { text: /--library/ });
  t.match(await peer('swarm --help', env), { text: /--max-upload/ });
  const list = await peer('list --help', env);
  t.notMatch(list, { text: /--out\b/ });
  t.notMatch(list, { text: /album/ }, 'rows of the list have none');
  t.match(await tracker('-h', env), { text: /--max-songs .*\[default: 200k\]/ });
});

t.test('shells can complete commands, options and values', async t => {
  const spec = peerCommandLine({});
  const complete = (...words: string[]): string[] => completionsFor(spec, words);
  t.same(complete('l'), ['list']);
  t.ok(complete('').includes('doctor'));
  t.same(complete('--ou'), ['--output']);
  t.same(complete('get', '--ou'), ['--out']);
  t.same(complete('--output', 'sp'), ['speaker']);
  t.same(complete('--library', '/'), [], 'files are the shell’s affair');
  t.same(complete('--log-level', '=', 'd'), ['debug'], 'bash breaks --log-level=d in three');
  t.same(complete('--decoder', '='), ['auto', 'mpg123', 'lame']);
  t.same(complete('--log-level=d'), ['--log-level=debug'], 'zsh does not');
  t.same(complete('--name=l'), []);
  t.same(complete('--output', 'file', ':', 'p'), [], 'what bash breaks off a value is no command');
  t.same(complete('--tracker', '=', 'music', ':'), []);
  t.same(complete('--name', 'get', 'pl'), ['play'], 'nor is the value of an option');
  t.same(complete('get', '--no-s'), ['--no-swarm', '--no-serve'], 'what is on can be turned off');
  t.same(complete('--no-h'), []);
  t.same(complete('list', 'x'), []);
  t.same(complete('list', '--sl'), [], 'what a command has no use for is not offered');
  t.same(complete('--sl'), ['--slots']);
  t.same(complete('swarm', ''), ['hash', 'seed', 'get']);
  t.same(complete('swarm', 'seed', 'g'), []);
  t.same(complete('swarm', 'get', '--dia'), ['--dialect']);
  t.match(completionScript('tsp-peer'), /complete -o default -F _tsp_peer tsp-peer/);
  t.match(await peer('completion', {}), { kind: 'text', text: /compdef _tsp_peer tsp-peer/ });
});

t.test('the closest known word is offered, and none when nothing is close', async t => {
  const known = ['port', 'host', 'library'];
  t.equal(closestTo('prot', known), 'port');
  t.equal(closestTo('librar', known), 'library');
  t.equal(closestTo('lib', known), 'library', 'the beginning of a word will do');
  t.equal(closestTo('hots', known), 'host');
  t.equal(closestTo('x', known), undefined);
  t.equal(didYouMean('volume', known), '');
});

t.test('a feed that is to be relayed twice is relayed once', async t => {
  const { env } = await homeWith(t);
  const folders = { dataDir: '/d', cacheDir: '/c', stateDir: '/s' };
  const { values, origins } = await peerRun('--relay 4 --relay 12 --relay 4', env);
  t.same(peerConfig(values, origins, folders).live?.relays, [4, 12]);
});

t.test('configurations come out in plain units', async t => {
  const { env } = await homeWith(t);
  const folders = { dataDir: '/d', cacheDir: '/c', stateDir: '/s' };
  const { values, origins } = await peerRun('--slots 0 --advertise [2001:db8::2]:99 --no-color', env);
  const config = peerConfig(values, origins, folders);
  t.match(config, {
    slots: Number.POSITIVE_INFINITY,
    advertise: ['[2001:db8::2]:99'],
    color: false,
    swarm: true,
    serve: true,
    ...folders,
  });
  t.notOk('swarmPort' in config, 'the number of the song server is the usual one');
  t.match((await peerRun('play 1 --no-swarm --no-serve --swarm-port 0', env)).values, {
    swarm: false,
    serve: false,
    'swarm-port': 0,
  });
  t.match(await failure(peer('get 1 --swarm-port seven', env)), { exitCode: 2 });
  t.notOk('port' in config || 'tracker' in config, 'what nobody chose is absent');
  const invocation = await tracker('--port 0 --max-per-address 0', env);
  if (invocation.kind !== 'run') throw new Error('it shows text');
  const machine = { host: '::', maxConnections: 10 };
  t.match(trackerConfig(invocation.values, machine), {
    host: '::',
    port: 0,
    maxConnections: 10,
    maxPerAddress: Number.POSITIVE_INFINITY,
    dataDir: '/data/tsp/tracker',
  });
});

t.test('a tracker that names no port has the usual one of its kind', async t => {
  const { env } = await homeWith(t);
  const portFor = async (words: string): Promise<number | undefined> =>
    (await peerRun(`${words} --tracker music.example`, env)).values.tracker?.port;
  t.equal(await portFor('list'), 7_460);
  t.equal(await portFor('swarm seed film.mkv'), 6_777);
  t.equal(await portFor('--chunk-size 1024 swarm get ab'), 6_777);
  const set = await peerRun('swarm get ab', { ...env, TSP_TRACKER: 'music.example' });
  t.equal(set.values.tracker, undefined, 'what is set once for all is a tracker of songs');
  t.equal(set.origins.tracker, 'default');
  t.match((await peerRun('list', { ...env, TSP_TRACKER: 'music.example' })).values.tracker, { port: 7_460 });
  t.match(await peer('swarm --help', env), { text: /--tracker .*\s.*on port 6777/ });
});

t.test('an address that is known on one link only is refused, for nobody could tell which link', async t => {
  const { env } = await homeWith(t);
  const folders = { dataDir: '/d', cacheDir: '/c', stateDir: '/s' };
  for (const words of [
    'list --tracker',
    'swarm get ab --tracker',
    'swarm seed x --listen',
    '--icecast',
    '--rtmp',
  ]) {
    const { values, origins } = await peerRun(`${words} [fe80::1%lo]:7460`, env);
    const refused = async () => peerConfig(values, origins, folders);
    t.match(await failure(refused()), { exitCode: 2, message: /fe80::1 is an address of one link only/ });
  }
});

t.test('folders follow the XDG specification', async t => {
  t.equal(xdgFolder('data', { XDG_DATA_HOME: '/d' }), '/d/tsp');
  t.equal(xdgFolder('data', { XDG_DATA_HOME: 'relative' }), join(homeFolder(), '.local/share/tsp'));
  t.equal(xdgFolder('cache', {}), join(homeFolder(), '.cache/tsp'));
});

t.test('a server listens on IPv6 as well where there is any', async t => {
  const address = { address: '::1', netmask: '', mac: '', internal: true, cidr: null };
  t.equal(anyHost({ lo: [{ ...address, family: 'IPv6', scopeid: 0 }] }), '::');
  t.equal(anyHost({ lo: [{ ...address, family: 'IPv4' }] }), '0.0.0.0');
});
