/**
 * A broadcast of 128 kbit/s by a peer that may upload 512, and six listeners, all of them real processes: what the line does
 * not bear, they give to each other.
 *
 * How late somebody hears is counted in bytes of the broadcast. A machine that does too much else may hold everybody up for a
 * moment: then it is counted anew.
 */
import { connect } from 'node:net';
import t from 'tap';
import { FrameScanner } from '../../peer/mpeg/frame-scanner.js';
import { mpegFrames } from '../support/mp3.js';
import { openNetwork } from '../support/network.js';
import type { RunningCommand } from '../support/spawn-command.js';
import { until } from '../support/until.js';

const LISTENERS = 6;
const BYTES_A_SECOND = 16_000;
const PUBLISHED_EACH_MS = 100;
/** Of the broadcast, on end, that everybody is never further behind: longer than the burst with which they begin. */
const HEARD_SECONDS = 8;
const MAX_DELAY_SECONDS = 5;
/** No two frames are alike. */
const BROADCAST = mpegFrames({ seconds: 300, seed: 77 });
/** Enough to know where in the broadcast it is: a frame and its ancillary data. */
const SAMPLE = 417;

const network = await openNetwork(t, ['--max-per-address', '0']);
const args = ['--headless', '--json', '--port', '0', '--live', 'radio', '--icecast', '127.0.0.1:0'];
const home = await network.newHome();
const source = await network.run([...args, '--max-upload', '64k', '--max-per-address', '0'], home);
const [, key = '', port] = await source.says(/icecast:\/\/source:([0-9a-f]{32})@127\.0\.0\.1:(\d+)\/radio/);

const publisher = connect({ host: '127.0.0.1', port: Number(port) });
publisher.on('error', () => {});
const auth = Buffer.from(`source:${key}`).toString('base64');
publisher.write(`SOURCE /radio HTTP/1.0\r\nAuthorization: Basic ${auth}\r\nContent-Type: audio/mpeg\r\n\r\n`);
let published = 0;
const publishing = setInterval(() => {
  const bytes = (BYTES_A_SECOND * PUBLISHED_EACH_MS) / 1_000;
  publisher.write(BROADCAST.subarray(published, published + bytes));
  published += bytes;
}, PUBLISHED_EACH_MS);
t.teardown(() => {
  clearInterval(publishing);
  publisher.destroy();
});

const isSilent = (frame: Uint8Array): boolean => frame.subarray(4).every(byte => byte === 0);

/** What one listener hears; places are bytes of the broadcast. */
class Heard {
  #from: number | undefined;
  #length = 0;

  constructor(readonly command: RunningCommand) {
    command.child.stdout.on('data', (bytes: Buffer) => {
      this.#length += bytes.length;
      if (this.#from !== undefined || this.#length < SAMPLE) return;
      this.#from = BROADCAST.indexOf(command.bytes.subarray(0, SAMPLE));
    });
  }

  /** So much has been published that has not come. */
  get secondsBehind(): number {
    if (this.#from === undefined) return Number.POSITIVE_INFINITY;
    return (published - this.#from - this.#length) / BYTES_A_SECOND;
  }

  /** Whole frames of the broadcast in their order, and nothing else but silence while the publisher was held up. */
  get isTrue(): boolean {
    const scanner = new FrameScanner();
    let at = 0;
    return (
      scanner.push(this.command.bytes).every(({ bytes }) => {
        if (isSilent(bytes)) return true;
        at = BROADCAST.indexOf(bytes, at) + 1;
        return at > 0;
      }) && scanner.lostBytes === 0
    );
  }

  stop(): void {
    this.command.kill('SIGINT');
  }
}

t.test('six hear what goes through an uplink of 512 kbit/s, at most five seconds later', async t => {
  const id = await until('the feed is listed', async () => (await network.list()).find(row => row.live)?.id);
  const listeners: Heard[] = [];
  for (let i = 0; i < LISTENERS; i += 1)
    listeners.push(new Heard(await network.run(['get', String(id), '-o', '-'])));
  let inTimeSince = published;
  await until(
    () => `in time: ${listeners.map(({ secondsBehind }) => secondsBehind.toFixed(1))} s behind`,
    () => {
      if (listeners.some(({ secondsBehind }) => secondsBehind > MAX_DELAY_SECONDS)) inTimeSince = published;
      return published - inTimeSince > HEARD_SECONDS * BYTES_A_SECOND;
    },
  );
  t.ok(
    listeners.every(({ isTrue }) => isTrue),
    'and nothing else',
  );
  for (const listener of listeners) listener.stop();
  for (const { command } of listeners) t.equal(await command.exitCode(), 0);
});
