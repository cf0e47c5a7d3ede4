#!/usr/bin/env node
/** `tsp-tracker`. Asked only for its version, it loads nothing else. */
if (process.argv.includes('--version')) {
  const { version } = await import('../version.js');
  process.stdout.write(`${version()}\n`);
} else {
  await import('../compile-cache.js');
  const [{ runProgram }, { runTracker }, { trackerCommandLine }] = await Promise.all([
    import('../program.js'),
    import('../tracker-command.js'),
    import('../tracker-options.js'),
  ]);
  const spec = trackerCommandLine(process.env);
  await runProgram(spec, program => runTracker(spec, program));
}

export {};
