/** Sound that comes in blocks, as out of pages of Ogg or behind a proxy: silence is for what does not come. */
import t from 'tap';
import { durationMs } from '../../../peer/live/frame-ring.js';
import { framesOf, makeFeeds, readAll } from './feeding.js';

for (const blockMs of [1_000, 2_000])
  t.test(`blocks of ${blockMs / 1_000} s are not cut up by silence`, async t => {
    const { clock, publish } = makeFeeds();
    const { feed } = publish();
    const reader = feed.join(0, { frames() {}, ended() {} });
    const sent = framesOf(6).map(({ bytes, header }) => ({ bytes: Buffer.from(bytes), header }));
    const frameMs = durationMs(sent[0]!.header);
    const perBlock = Math.ceil(blockMs / frameMs);
    for (let at = 0; at < sent.length; at += perBlock) {
      const block = sent.slice(at, at + perBlock);
      feed.receive(block);
      clock.advance(block.length * frameMs);
    }
    t.same(
      readAll(reader).map(({ bytes }) => bytes),
      sent.map(({ bytes }) => bytes),
    );
    clock.advance(1_000);
    t.ok(readAll(reader).length > 0, 'when the last is played');
  });
