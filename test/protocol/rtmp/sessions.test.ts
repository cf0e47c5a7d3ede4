/**
 * What real clients sent (`test/vectors/rtmp-sessions.json`), to the server's session: as it came, cut otherwise, and spoilt in
 * thousands of ways, of which none may cost more than the connection.
 *
 *     node build/test/protocol/rtmp/sessions.test.js 100000        so many spoilt ones; as a rule 2,000
 */
import { readFileSync } from 'node:fs';
import t from 'tap';
import { RemoteProtocolError } from '../../../protocol/errors.js';
import type { RtmpEffect } from '../../../protocol/rtmp/effects.js';
import { parseFlvAudio } from '../../../protocol/rtmp/flv-audio.js';
import { ServerSession } from '../../../protocol/rtmp/server-session.js';
import { arrivals } from '../../support/arrivals.js';
import { randomNumbers } from '../../support/crowd.js';
import { clientHello } from '../../support/rtmp-client.js';
import { filler } from '../../support/rtmp-vectors.js';

const USUAL_COUNT = 2_000;

const { sessions } = JSON.parse(
  readFileSync(new URL('../../../../test/vectors/rtmp-sessions.json', import.meta.url), 'utf8'),
) as { sessions: { client: string; bytes: string }[] };
const recorded = sessions.map(({ client, bytes }) => ({ client, bytes: Buffer.from(bytes, 'base64') }));

/** Everything that the shell is told to do, but what is sent. A client is let in everywhere. */
function effectsOf(pieces: readonly Uint8Array[]): RtmpEffect[] {
  const session = new ServerSession({ randomBytes: length => filler(length, 7), now: 0 });
  const effects: RtmpEffect[] = [];
  const answer = ({ do: kind }: RtmpEffect): RtmpEffect[] => {
    switch (kind) {
      case 'connect':
        return session.admit(0);
      case 'publish':
        return session.publishing(0);
      case 'play':
        return session.playing({ isRecorded: true, about: {} }, 0);
      case 'seek':
        return session.sought();
      default:
        return [];
    }
  };
  const perform = (some: readonly RtmpEffect[]): void => {
    for (const effect of some) {
      if (effect.do === 'audio') parseFlvAudio(effect.body);
      if (effect.do !== 'send') effects.push(effect);
      perform(answer(effect));
    }
  };
  for (const piece of pieces) {
    perform(session.receive(piece, 0));
    for (let more = session.proceed(0); more.length > 0; more = session.proceed(0)) perform(more);
  }
  return effects;
}

const kinds = (effects: readonly RtmpEffect[]): string[] => [...new Set(effects.map(effect => effect.do))];

t.test('what real clients do is understood, however it comes', async t => {
  for (const { client, bytes } of recorded) {
    const whole = effectsOf([clientHello(), bytes]);
    const wanted = client.includes('publishes')
      ? ['connect', 'publish', 'metadata', 'audio']
      : ['connect', 'play', 'buffer-length'];
    for (const kind of wanted) t.ok(kinds(whole).includes(kind as RtmpEffect['do']), `${client}: ${kind}`);
    for (const pieces of arrivals(bytes, 2)) t.same(effectsOf([clientHello(), ...pieces]), whole, client);
  }
});

/** Bytes changed, lost, doubled, put in, or taken from what another client said. */
function spoil(bytes: Buffer, random: () => number): Buffer {
  let spoilt = Buffer.from(bytes);
  for (let times = 1 + (random() % 4); times > 0; times -= 1) {
    const at = random() % (spoilt.length + 1);
    const length = random() % 40;
    const [before, after] = [spoilt.subarray(0, at), spoilt.subarray(at)];
    const other = recorded[random() % recorded.length]!.bytes;
    const otherAt = random() % other.length;
    switch (random() % 6) {
      case 0:
        if (at < spoilt.length) spoilt[at]! ^= 1 << (random() % 8);
        break;
      case 1:
        spoilt = Buffer.concat([before, after.subarray(length)]);
        break;
      case 2:
        spoilt = Buffer.concat([before, after.subarray(0, length), after]);
        break;
      case 3:
        spoilt = Buffer.concat([before, Buffer.alloc(length, random() % 256), after]);
        break;
      case 4:
        spoilt = Buffer.concat([before, other.subarray(otherAt, otherAt + 10 * length), after]);
        break;
      default:
        // Fields that say how much follows: the most that they can.
        spoilt.subarray(at, at + (length % 5)).fill(0xff);
    }
  }
  return spoilt;
}

const count = Number(process.argv[2] ?? USUAL_COUNT);
// Minutes, for many.
if (count > USUAL_COUNT) t.setTimeout(0);

t.test(`${count} spoilt sessions cost no more than their connections`, async t => {
  const random = randomNumbers(20_261_121);
  let refused = 0;
  for (let i = 0; i < count; i += 1) {
    const { client, bytes } = recorded[i % recorded.length]!;
    const spoilt = spoil(bytes, random);
    const [whole] = arrivals(spoilt);
    const pieces = i % 10 === 0 ? [...arrivals(spoilt, 1)].at(-1)! : whole!;
    try {
      effectsOf([clientHello(), ...pieces]);
    } catch (error) {
      if (error instanceof RemoteProtocolError) refused += 1;
      else t.fail(`${client}, spoilt ${i} times`, { error, bytes: spoilt.toString('base64') });
    }
  }
  t.ok(refused > count / 10, `${refused} of them were refused`);
});
