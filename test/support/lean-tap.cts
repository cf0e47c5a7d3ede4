/**
 * Required before every test file (`.taprc`), and before tap's hooks: takes away what of them nobody here needs.
 *
 *     test file: tap's hooks ──▶ .tap/coverage ◀── NODE_V8_COVERAGE: tsp-tracker, tsp-peer, its audio process, …
 *
 * They note every module that is loaded, in a thread for it: half a second of CPU a test file. And they go on into each
 * process that is spawned, 0.4 s of CPU for 600 of them, more than all that most of these do: these write their coverage by
 * themselves, as Node does, into the folder that tap's report reads.
 */
import nodeModule = require('node:module');
import path = require('node:path');

interface ProcessOnSpawn {
  addListener(listener: unknown): void;
}

const { env } = process;
const project = env._TAPJS_PROCESSINFO_CWD_;
if (project !== undefined) {
  Object.assign(nodeModule, { register: () => undefined });
  const processOnSpawn: ProcessOnSpawn = require('process-on-spawn');
  processOnSpawn.addListener = () => undefined;
  delete env.NODE_OPTIONS;
  if (env._TAPJS_PROCESSINFO_COVERAGE_ === '1') env.NODE_V8_COVERAGE = path.join(project, '.tap', 'coverage');
}
