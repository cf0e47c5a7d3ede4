/** The whole tree of a content at hand. */
import { cutInto } from '../../protocol/bytes.js';
import { HASH_LENGTH, type HashName, hashChunk } from '../../protocol/merkle.js';
import { HashTree } from '../../protocol/ppspp/hash-tree.js';
import { NodeStore } from '../../protocol/ppspp/node-store.js';
import { TreeBuilder } from '../../protocol/ppspp/tree-builder.js';

export function wholeTree(content: Uint8Array, hash: HashName = 'sha256', chunkBytes = 1_024): HashTree {
  const nodes = new NodeStore(HASH_LENGTH[hash]);
  const builder = new TreeBuilder(hash, nodes);
  for (const chunk of cutInto(chunkBytes, content)) builder.add(hashChunk(chunk, hash));
  return new HashTree({ root: builder.finish(), hash, chunkBytes, size: content.length, nodes });
}
