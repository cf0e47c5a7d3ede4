/** The worker thread of scanner.ts: walks (scan.ts) and posts what it finds, many at a time. */
import { parentPort } from 'node:worker_threads';
import type { Found } from './file-facts.js';
import { type ScanJob, walk } from './scan.js';
import type { ThreadMessage } from './thread-pool.js';

/** A message costs about as much as ten files in it. */
const BATCH = 500;

const post = (message: ThreadMessage<readonly Found[], 'complete'>) => parentPort?.postMessage(message);

parentPort?.on('message', (job: ScanJob) => {
  let batch: Found[] = [];
  for (const found of walk(job)) {
    batch.push(found);
    if (batch.length < BATCH) continue;
    post({ note: batch });
    batch = [];
  }
  post({ note: batch });
  post({ result: 'complete' });
});
