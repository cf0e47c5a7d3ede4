/**
 * Builds tap without two of its plugins, unless that has been done: its TypeScript, since TypeScript 7 has no interface
 * for it, and its mocks, which nobody here uses and which double the start of every process that a test spawns.
 *
 * `tap build` takes 15 s and npm forgets it with every `npm ci`, so `npm test` asks first. The tests are compiled by
 * `tsc`, and coverage follows the source maps.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const BUILT = new URL('../../../node_modules/@tapjs/test/test-built/dist/esm/index.js', import.meta.url);
/** Relative to `build/test/support/`, where this runs. */
const TAP = new URL('../../../node_modules/tap/dist/esm/run.mjs', import.meta.url);

if (/@tapjs\/(typescript|mock)/.test(readFileSync(BUILT, 'utf8'))) {
  execFileSync(process.execPath, [fileURLToPath(TAP), 'build'], { stdio: 'inherit' });
}
