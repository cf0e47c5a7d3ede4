#!/usr/bin/env node
/** `tsp-peer`. Asked only for its version, it loads nothing else. */
if (process.argv.includes('--version')) {
  const { version } = await import('../version.js');
  process.stdout.write(`${version()}\n`);
} else {
  await import('../compile-cache.js');
  // One after the other: Node 20 now and then trips over imports at once that share a module (nodejs/node#52187).
  const { runProgram } = await import('../program.js');
  const { runPeerCommand } = await import('../peer-command.js');
  const { peerCommandLine } = await import('../peer-options.js');
  const spec = peerCommandLine(process.env);
  await runProgram(spec, program => runPeerCommand(spec, program));
}

export {};
