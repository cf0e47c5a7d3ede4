/**
 * Loaded before every test file (`.taprc`): the processes that a test starts write their coverage with Node's own
 * NODE_V8_COVERAGE, into the folder that tap's report reads, instead of with tap's hooks.
 *
 *     test file: tap's hooks ──▶ .tap/coverage ◀── NODE_V8_COVERAGE: tsp-tracker, tsp-peer, its audio process, …
 *
 * Tap's hooks cost each such process a thread and 0.4 s of CPU, more than all that most of them do, and there are 600.
 */
import { createRequire } from 'node:module';
import { join } from 'node:path';

interface ProcessOnSpawn {
  removeAllListeners(): void;
}

const { env } = process;
const project = env._TAPJS_PROCESSINFO_CWD_;
if (project !== undefined) {
  // Which puts the hooks into the environment of whatever is spawned.
  const processOnSpawn: ProcessOnSpawn = createRequire(import.meta.url)('process-on-spawn');
  processOnSpawn.removeAllListeners();
  delete env.NODE_OPTIONS;
  if (env._TAPJS_PROCESSINFO_COVERAGE_ === '1') env.NODE_V8_COVERAGE = join(project, '.tap', 'coverage');
}
