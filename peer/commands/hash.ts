/**
 * `tsp-peer hash FILE…`: the content hash of TSP §4, in the lines of sha256sum; `-` is stdin.
 *
 *     8becd36f…  song.mp3
 *     {"hash":"8becd36f…","size":4215004,"file":"song.mp3"}          with --json
 *
 * A file that is empty (which is no song) or can't be read is named on stderr, the others are hashed all the same, and the exit code is 1.
 */
import { createReadStream } from 'node:fs';
import { addAbortSignal } from 'node:stream';
import { toHex } from '../../protocol/bytes.js';
import { MerkleTree } from '../../protocol/merkle.js';
import type { PeerConfig } from '../config.js';
import { EXIT, exitCodeOfSignal, fileError, fileProblem } from '../failures/failure.js';
import { safeJson, safeText } from '../prompt/terminal-text.js';
import type { World } from '../world.js';
import type { CommandArguments } from './arguments.js';
import { oneShot } from './one-shot.js';

/** As in hosting: large enough that reading costs little, small enough that memory stays flat. */
const READ_BYTES = 1024 * 1024;

export function runHash(config: PeerConfig, { words }: CommandArguments, world: World): Promise<number> {
  return oneShot(config, world, async session => {
    let code: number = EXIT.ok;
    for (const file of words) {
      try {
        const { hash, size } = await hashOf(file, world);
        if (size === 0) {
          session.report(fileError(`${safeText(file)} is empty: it has no hash.`).failure);
          code = EXIT.failure;
          continue;
        }
        // As sha256sum: a name with a line break would otherwise be two lines.
        const line = config.json ? safeJson({ hash, size, file }) : `${hash}  ${safeText(file)}`;
        await session.write([line]);
      } catch (error) {
        if (world.signal.aborted) return exitCodeOfSignal(world.signal.reason);
        const problem = fileProblem(error, file);
        if (problem === undefined) throw error;
        session.report(fileError(`${problem}.`).failure);
        code = EXIT.failure;
      }
    }
    return code;
  });
}

async function hashOf(file: string, world: World): Promise<{ hash: string; size: number }> {
  const input = file === '-' ? world.stdin : createReadStream(file, { highWaterMark: READ_BYTES });
  const tree = new MerkleTree();
  for await (const bytes of addAbortSignal(world.signal, input)) tree.update(bytes as Uint8Array);
  const { root, size } = tree.digest();
  return { hash: toHex(root), size };
}
