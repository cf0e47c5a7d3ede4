/**
 * Frames of a whole subtree, as chunks go over a stream: judged at once, they need only what proves the node above them.
 */

/** With their proofs they fit into a frame at 1,024 bytes a chunk. */
export const FRAME_CHUNKS = 32;
export const endsFrame = (chunk: number): boolean => (chunk + 1) % FRAME_CHUNKS === 0;
/** With all that goes before them. */
export const frameBytesOf = (chunkBytes: number): number => 1.5 * FRAME_CHUNKS * chunkBytes;
