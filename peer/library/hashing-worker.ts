/** The worker thread of hashing.ts: one file at a time, read by read-file.ts. */
import { parentPort } from 'node:worker_threads';
import type { FileReading } from './file-facts.js';
import type { HashingJob } from './hashing.js';
import { FileReader, type ReadingNote } from './read-file.js';
import type { ThreadMessage } from './thread-pool.js';

const reader = new FileReader();
const post = (message: ThreadMessage<ReadingNote, FileReading>) => parentPort?.postMessage(message);

parentPort?.on('message', async ({ path, ...wanted }: HashingJob) => {
  post({ result: await reader.read(path, { ...wanted, note: note => post({ note }) }) });
});
