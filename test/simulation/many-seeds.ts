/**
 * `npm run simulate` as a test runs it: every seed holds every rule, or it is said which does not and how to see more.
 *
 * In a process of its own that counts no coverage, which a quarter of its time would go into.
 */
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import { spawnProgram } from '../support/spawn-command.js';

const MAIN = fileURLToPath(new URL('./main.js', import.meta.url));
/** Alone it takes a minute; on a core that many share, many. */
const DEADLINE_MS = 800_000;

export async function expectSeedsHold(t: Test, from: number, seeds: number): Promise<void> {
  const words = [MAIN, '--from', `${from}`, '--seeds', `${seeds}`];
  const env = { NODE_V8_COVERAGE: '' };
  const simulate = await spawnProgram(t, process.execPath, words, { env }, 'simulate');
  const code = await simulate.exitCode(DEADLINE_MS);
  t.equal(code, 0, simulate.stdout);
  t.match(simulate.stderr, `${seeds} of ${seeds} seeds, 0 failed`);
}
