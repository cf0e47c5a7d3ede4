/** Which command lines are read without yargs, and that they mean the same to both. */
import t from 'tap';
import { parseCommandLine } from '../../src/command-line.js';
import { peerCommandLine } from '../../src/peer-options.js';
import { readPlainLine } from '../../src/plain-line.js';

t.test('a plain line is read as yargs reads it, and all others are left to it', async t => {
  const spec = peerCommandLine({});
  const plain = [
    [],
    ['--port', '0', '--library', '/a', '--library=/b', '--headless', '--json'],
    ['--tracker', 'music.example:1', 'play', '10', '11', '--output=file:/x=y.wav'],
    ['find', 'some words', '--json'],
    ['--slots', '1', '--slots', '2'],
    ['completion'],
  ];
  for (const argv of plain) {
    const { subcommand, words, flags } = readPlainLine(spec, argv) ?? {};
    const line = { kind: 'run', command: subcommand?.name, words, flags };
    // After `--` nothing follows, but it is not plain.
    t.strictSame(await parseCommandLine(spec, [...argv, '--'], 80), line, argv.join(' '));
  }
  const others = [
    '-o x get 1',
    '--help',
    '--no-json',
    '--json=false',
    '--port',
    '--port -1',
    '--tracer x',
    'pley 1',
  ]
    .concat(['get', 'list --out x', '--json --json', "--name 'x'", 'find --', '--out x', '--constructor x'])
    .map(line => line.split(' '));
  for (const argv of others) t.equal(readPlainLine(spec, argv), undefined, argv.join(' '));
});
