#!/usr/bin/env node
/** `tsp-peer`. Asked only for its version, it loads nothing else. */
if (process.argv.includes('--version')) {
  const { version } = await import('../version.js');
  process.stdout.write(`${version()}\n`);
} else {
  await import('../compile-cache.js');
  const [{ runProgram }, { runPeerCommand }, { peerCommandLine }] = await Promise.all([
    import('../program.js'),
    import('../peer-command.js'),
    import('../peer-options.js'),
  ]);
  const spec = peerCommandLine(process.env);
  await runProgram(spec, program => runPeerCommand(spec, program));
}

export {};
