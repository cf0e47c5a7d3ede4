/** Chunks and the one who reads them. */
import t from 'tap';
import { ChunkQueue } from '../../peer/chunk-queue.js';

const done = { done: true, value: undefined };
const of = (value: Uint8Array) => ({ done: false, value });

t.test('what came is read in its order, what was not there yet is waited for', async t => {
  const queue = new ChunkQueue();
  const [a, b, c] = [Buffer.from('a'), Buffer.from('bb'), Buffer.from('ccc')];
  queue.push(a);
  queue.push(b);
  t.equal(queue.bytes, 3);
  t.same(await queue.next(), of(a));
  t.same(await queue.next(), of(b));
  const waiting = queue.next();
  t.equal(queue.taken, 3);
  queue.push(c);
  t.same(await waiting, of(c));
  t.match(queue, { bytes: 0, taken: 6 });
});

t.test('the end comes after what is there, and again and again; nothing comes after it', async t => {
  const queue = new ChunkQueue();
  queue.push(Buffer.from('a'));
  queue.end();
  queue.push(Buffer.from('b'));
  queue.end(new Error('late'));
  t.same(await queue.next(), of(Buffer.from('a')));
  t.same([await queue.next(), await queue.next()], [done, done]);
});

t.test('an error too, whether somebody waits for it or not', async t => {
  const queue = new ChunkQueue();
  const waiting = queue.next();
  queue.end(new Error('lost'));
  await t.rejects(waiting, { message: 'lost' });
  await t.rejects(queue.next(), { message: 'lost' });
});

t.test('what is dropped or cleared is neither there nor taken', async t => {
  const queue = new ChunkQueue();
  for (const text of ['a', 'bb', 'ccc']) queue.push(Buffer.from(text));
  queue.dropOldest();
  t.equal(queue.bytes, 5);
  t.same(await queue.next(), of(Buffer.from('bb')));
  queue.clear();
  queue.dropOldest();
  queue.end();
  t.same(await queue.next(), done);
  t.match(queue, { bytes: 0, taken: 2 });
});
