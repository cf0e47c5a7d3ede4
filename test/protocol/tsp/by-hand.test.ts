/**
 * «Speaking TSP by hand» (`protocol/tsp/README.md` §9): the lines of that section, as they stand, under dash and under
 * bash, against the real commands. They list, find, fetch and verify a song of a real host, and then host one.
 */
import { spawnSync } from 'node:child_process';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { freePort } from '../../support/free-port.js';
import { mp3Bytes } from '../../support/mp3.js';
import { commandPath, spawnCommand, spawnProgram } from '../../support/spawn-command.js';
import { tempFolder } from '../../support/temp-folder.js';
import { listAt } from '../../support/tsp-client.js';
import { type Teardown, until } from '../../support/until.js';

const SPEC = fileURLToPath(new URL('../../../../protocol/tsp/README.md', import.meta.url));
const TUNES = fileURLToPath(new URL('../../../../tunes/songs/', import.meta.url));
/** What the lines leave running when the test ends them half-way. */
const TIDY_UP = `trap 'rm -f answers; nc -z 127.0.0.1 "$MY_PORT"; kill $(jobs -p); exit 1' TERM\n`;
const TITLES = ['Habanera de la Plaza', 'Lluvia en la Laguna', 'Paso del Alba'];

/** The fenced shell lines of the section, one after the other. */
async function linesByHand(): Promise<string> {
  const text = await readFile(SPEC, 'utf8');
  const section = text.slice(text.indexOf('\n## 9. Speaking TSP by hand\n'));
  return [...section.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, lines]) => lines!).join('');
}

const works = (file: string, ...args: string[]): boolean => spawnSync(file, args).status === 0;

/** What is missing for this test, or false. */
function missing(): string | false {
  if (!/-[a-zA-Z46]*N/.test(String(spawnSync('nc', ['-h']).stderr)))
    return 'needs nc from OpenBSD (apt install netcat-openbsd)';
  return works('jq', '--version') ? false : 'needs jq (apt install jq)';
}

/** A folder in which `tsp-peer` is the command that was built here. */
async function commandFolder(t: Teardown): Promise<string> {
  const folder = await tempFolder(t);
  const path = join(folder, 'tsp-peer');
  await writeFile(path, `#!/bin/sh\nexec "${process.execPath}" "${commandPath('tsp-peer')}" "$@"\n`);
  await chmod(path, 0o755);
  return folder;
}

t.test('the lines of the specification list, fetch and host a song', { skip: missing() }, async t => {
  const tracker = await spawnCommand(t, 'tsp-tracker', ['--host', '127.0.0.1', '--port', '0']);
  const { port } = await tracker.ready();
  const host = await spawnCommand(t, 'tsp-peer', [
    ...['--tracker', `127.0.0.1:${port}`, '--library', TUNES, '--port', '0'],
    ...['--headless', '--json'],
  ]);
  await host.says(/"event":"library","songs":3/);
  // A list may be a second old.
  await until('all are listed', async () => (await listAt(t, port)).length === TITLES.length);
  const bin = await commandFolder(t);

  for (const shell of ['dash', 'bash']) {
    await t.test(`under ${shell}`, { skip: !works(shell, '-c', ':') && `needs ${shell}` }, async t => {
      const folder = await tempFolder(t);
      const script = join(folder, 'by-hand.sh');
      await writeFile(script, TIDY_UP + (await linesByHand()));
      // Two pieces of 64 KiB and a short one, which is where folding by hand could go wrong.
      const mine = mp3Bytes({ title: `Played by ${shell}`, seconds: 11, seed: shell.length });
      await writeFile(join(folder, 'mine.mp3'), mine);
      const myPort = await freePort('tcp');
      const running = await spawnProgram(t, shell, ['-u', script], {
        home: folder,
        env: {
          PATH: `${bin}${delimiter}${process.env.PATH}`,
          ...{ TRACKER: '127.0.0.1', PORT: String(port), WORDS: 'habanera', SONG: '1' },
          ...{ MINE: 'mine.mp3', MY_PORT: String(myPort) },
        },
      });
      t.equal(await running.exitCode(), 0);
      const said = running.lines.map(line => line.replace(/":\d+"/, '":PORT"'));
      t.match(said.shift(), /^81[0-9a-f]{16}$/, 'the header of LIST_INFO');
      const rows: [number, string, string][] = said.splice(0, 3).map(line => JSON.parse(line));
      t.same(rows.map(([id]) => id).sort(), [1, 2, 3]);
      t.same(rows.map(([, title]) => title).sort(), TITLES);
      t.same(new Set(rows.map(([, , address]) => address)), new Set([':PORT']));
      t.match(said.shift(), /^\[\d,".+","Habanera de la Plaza"\]$/, 'what FIND found');
      t.same(
        said.filter(line => !line.includes('heard.mp3')),
        [
          'song.mp3 is song 1',
          'part is bytes 65536 to 69631',
          'the nodes are true',
          '{"listed":[":PORT"]}',
          'heard as it was played',
        ],
        running.stderr,
      );
      t.ok((await readFile(join(folder, 'heard.mp3'))).equals(mine), 'the song that was hosted by hand');
    });
  }
});
