/**
 * `tsp-peer swarm hash FILE…`: the swarm ID of files, in the lines of sha256sum. With `--create --size N` it first makes
 * the file, of N bytes of which the one at i is i modulo 251, as others that try out PPSPP do.
 *
 *     8becd36f…  file.bin
 *     {"swarm":"8becd36f…","size":1048577,"hash":"sha256","chunkSize":1024,"file":"file.bin"}        with --json
 */
import { type FileHandle, open } from 'node:fs/promises';
import { addAbortSignal } from 'node:stream';
import { toHex } from '../../protocol/bytes.js';
import type { HashTree } from '../../protocol/ppspp/hash-tree.js';
import { EXIT, fileError, fileProblem, usageError } from '../failures/failure.js';
import { safeJson, safeText } from '../prompt/terminal-text.js';
import { contentTree, pathTree } from '../swarm/content-tree.js';
import { type SwarmCommand, usualHash } from './swarm-arguments.js';

/** Prime, so that no two chunks near each other are alike. */
const PERIOD = 251;
const WRITE_BYTES = PERIOD * 4_096;
const STDIN = '-';

export async function runSwarmHash({ session, words, swarm }: SwarmCommand): Promise<number> {
  const { world, config } = session;
  const { hash = usualHash(swarm.dialects), chunkBytes, create, size } = swarm;
  if (create && (size === undefined || words.length !== 1))
    throw usageError(
      '--create wants one file and --size.',
      'tsp-peer swarm hash --create --size 1M file.bin',
    );
  const options = { hash, chunkBytes, signal: world.signal };
  let code: number = EXIT.ok;
  for (const file of words) {
    try {
      if (create) await makeFile(file, size!, world.signal);
      const tree = await (file === STDIN
        ? contentTree(addAbortSignal(world.signal, world.stdin), options)
        : pathTree(file, options));
      if (tree.size !== 0) {
        await session.write([lineOf(file, tree, config.json)]);
        continue;
      }
      session.report(fileError(`${safeText(file)} is empty: it has no swarm ID.`).failure);
      code = EXIT.failure;
    } catch (error) {
      const problem = fileProblem(error, file);
      if (world.signal.aborted || problem === undefined) throw error;
      session.report(fileError(`${problem}.`).failure);
      code = EXIT.failure;
    }
  }
  return code;
}

function lineOf(file: string, { root, size, hash, chunkBytes }: HashTree, json: boolean): string {
  const swarm = toHex(root);
  return json ? safeJson({ swarm, size, hash, chunkSize: chunkBytes, file }) : `${swarm}  ${safeText(file)}`;
}

/** A file that is there stays as it is: then this fails. */
async function makeFile(path: string, size: number, signal: AbortSignal): Promise<void> {
  const file = await open(path, 'wx').catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    throw fileError(`${safeText(path)} is there already.`, '--create only makes new files.');
  });
  try {
    await fill(file, size, signal);
  } finally {
    await file.close();
  }
}

async function fill(file: FileHandle, size: number, signal: AbortSignal): Promise<void> {
  const pattern = Uint8Array.from({ length: WRITE_BYTES }, (_, i) => i % PERIOD);
  for (let left = size; left > 0; ) {
    signal.throwIfAborted();
    const { bytesWritten } = await file.write(pattern, 0, Math.min(left, pattern.length));
    left -= bytesWritten;
    // What follows a short write begins elsewhere in the pattern.
    if (bytesWritten < pattern.length && left > 0) throw new Error('the disk took only a part of it');
  }
}
