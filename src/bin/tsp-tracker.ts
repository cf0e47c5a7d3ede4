#!/usr/bin/env node
/** `tsp-tracker`. Asked only for its version, it loads nothing else. */
if (process.argv.includes('--version')) {
  const { version } = await import('../version.js');
  process.stdout.write(`${version()}\n`);
} else {
  await import('../compile-cache.js');
  // One after the other: Node 20 now and then trips over imports at once that share a module (nodejs/node#52187).
  const { runProgram } = await import('../program.js');
  const { runTracker } = await import('../tracker-command.js');
  const { trackerCommandLine } = await import('../tracker-options.js');
  const spec = trackerCommandLine(process.env);
  await runProgram(spec, program => runTracker(spec, program));
}

export {};
