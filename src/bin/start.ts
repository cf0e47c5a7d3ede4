#!/usr/bin/env node
/**
 * `npm start`: a peer with the project's own three tunes, and a tracker inside when this machine has none, so that a
 * newcomer hears something at once. `npm start -- --library ~/Music` offers other songs; all else is `tsp-peer`.
 */
import { fileURLToPath } from 'node:url';
import { runPeerCommand } from '../peer-command.js';
import { peerCommandLine } from '../peer-options.js';
import { runProgram } from '../program.js';

const TUNES = fileURLToPath(new URL('../../../tunes/songs/', import.meta.url));

// npm runs this in the project's folder; a relative path is meant from where the person is.
if (process.env.INIT_CWD !== undefined) process.chdir(process.env.INIT_CWD);

const spec = peerCommandLine(process.env);
await runProgram(spec, program =>
  runPeerCommand(spec, program, config =>
    config.library.length > 0 ? config : { ...config, library: [TUNES] },
  ),
);
