/**
 * A program for the tests: plays the files that it is given on its standard output, and tells on standard error what became
 * of each. A test can't do that itself, since its own standard output is tap's.
 */
import { readFile } from 'node:fs/promises';
import { jukebox, songOf } from './jukebox.js';

const raw = process.argv.includes('--raw');
const paths = process.argv.slice(2).filter(argument => argument !== '--raw');
const songs = await Promise.all(paths.map(async path => songOf(await readFile(path))));
const { audio, playOut } = await jukebox({ teardown: () => {} }, 'stdout', { raw });
for (const summary of await playOut(...songs)) process.stderr.write(`${JSON.stringify(summary)}\n`);
await audio.stop();
process.stderr.write('done\n');
