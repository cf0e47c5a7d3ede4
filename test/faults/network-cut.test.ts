/**
 * A cable between two machines is pulled, and put in again later: nobody is told of that by an end or a reset.
 *
 *     listener, tracker ═══ host        a song is on its way: it goes on from the other host, at the exact byte
 *            ╚══╳══ host                the tracker hears nothing for 45 s: it is off the list; later it is back on it
 *
 * The tracker and the hosts run on a hasty clock, so that their 45 s take eleven.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { type Cable, layCables, type Machine, noCables } from '../support/cables.js';
import { mp3Bytes } from '../support/mp3.js';
import { hashOf, LISTED_MS } from '../support/network.js';
import { atPace } from '../support/paced-clock.js';
import { commandPath, type RunningCommand, spawnProgram } from '../support/spawn-command.js';
import { stackTraceIn, watchSurvivor } from '../support/survivor.js';
import { tempFolder } from '../support/temp-folder.js';
import { until } from '../support/until.js';

/** 3.2 MB, at 1 MB/s. */
const SONG = mp3Bytes({ seconds: 80, bitrate: 320_000, seed: 1, title: 'Taranta' });
const HASTE = 4;
const SLOW = ['--max-upload', '250k', '--slots', '0', '--trace-wire', '--log-level', 'debug'];

t.test('a cable is pulled mid-song, and put in again', { skip: noCables }, async t => {
  const { hub, cables } = await layCables(t, 2);
  const folder = await tempFolder(t);
  const hasty = await atPace(t, HASTE);
  await writeFile(join(folder, 'taranta.mp3'), SONG);
  const run = async (
    machine: Machine,
    name: 'tsp-tracker' | 'tsp-peer',
    words: readonly string[],
    env: Record<string, string> = {},
  ): Promise<RunningCommand> => {
    const program = machine.program(process.execPath, commandPath(name), ...words);
    return await spawnProgram(t, ...program, { env }, name);
  };

  const tracker = await run(hub, 'tsp-tracker', ['--host', '0.0.0.0', '--port', '0'], hasty);
  const { port } = await tracker.ready();
  const startHost = async (cable: Cable): Promise<Host> => {
    const words = ['--headless', '--json', '--library', folder, '--port', '0', ...SLOW];
    const at = ['--tracker', `${cable.hubAddress}:${port}`];
    const command = await run(cable.far, 'tsp-peer', [...words, ...at], hasty);
    return { cable, command, address: `${cable.farAddress}:${(await command.ready()).port}` };
  };
  const hosts = await Promise.all(cables.map(startHost));
  const here = ['--tracker', `127.0.0.1:${port}`];
  const watcher = await run(hub, 'tsp-peer', ['--json', '--port', '0', '--output', 'null', ...here]);
  const listed = (...of: readonly Host[]): Promise<true> =>
    until(
      `listed: ${of.map(({ address }) => address)}`,
      async () => {
        const row = (await listOf(watcher)).find(({ hash }) => hash === hashOf(SONG));
        return String([...(row?.hosts ?? [])].sort()) === String(of.map(({ address }) => address).sort());
      },
      LISTED_MS,
    );
  const get = (): Promise<RunningCommand> => run(hub, 'tsp-peer', ['get', '1', '-o', '-', ...here]);
  const gets = async (t: Test, listener: RunningCommand): Promise<void> => {
    t.equal(await listener.exitCode(), 0, listener.stderr);
    t.ok(listener.bytes.equals(SONG), 'byte-exact');
  };

  await listed(...hosts);
  const survivor = await watchSurvivor(tracker, async () => {
    await listOf(watcher);
  });
  const listener = await get();
  await until('the middle of the song', () => listener.bytes.length > SONG.length / 4);
  const serving = hosts.find(({ command }) => command.stderr.includes('SONG_DATA'))!;
  const other = hosts.find(host => host !== serving)!;
  serving.cable.cut();
  await gets(t, listener);
  await listed(other);
  serving.cable.mend();
  await listed(...hosts);
  other.cable.cut();
  await gets(t, await get());
  await survivor.survived();
  for (const { running, stderr } of [tracker, watcher, ...hosts.map(({ command }) => command)]) {
    t.ok(running);
    t.equal(stackTraceIn(stderr), undefined);
  }
});

interface Host {
  readonly cable: Cable;
  readonly command: RunningCommand;
  readonly address: string;
}

interface Row {
  readonly hash: string;
  readonly hosts: readonly string[];
}

/** What a prompt answers to `list`. */
async function listOf(prompt: RunningCommand): Promise<readonly Row[]> {
  const said = prompt.lines.length;
  prompt.write('list\n');
  const line = await until('the list', () =>
    prompt.lines.slice(said).find(each => each.startsWith('{"command":"list"')),
  );
  return (JSON.parse(line) as { songs: Row[] }).songs;
}
