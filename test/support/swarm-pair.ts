/**
 * Two ends of a channel to try one at a time: a pair of peers over a good link, or one of our channels and a script.
 *
 *     const { net, source, reader, channel, said } = pair()        const { channel, say, heard } = scripted(['rfc7574'])
 */
import { Channel, type ChannelEvent } from '../../protocol/ppspp/channel.js';
import { ChunkSet } from '../../protocol/ppspp/chunk-set.js';
import { decodeDatagram, encodeDatagram } from '../../protocol/ppspp/codec.js';
import type { PeerAddress } from '../../protocol/ppspp/gate.js';
import { type Dialect, ownOptions, wireFormatOf } from '../../protocol/ppspp/handshake.js';
import { NoIntegrity } from '../../protocol/ppspp/integrity.js';
import type { Message, Options } from '../../protocol/ppspp/messages.js';
import type { Swarm } from '../../protocol/ppspp/swarm.js';
import { Chance } from '../simulation/chance.js';
import type { Link } from './virtual-link.js';
import { metadataOf, type PeerOptions, VirtualSwarm } from './virtual-swarm.js';

export const CONTENT = new Chance(1).bytes(40_000);
export const METADATA = metadataOf(CONTENT);
export const FORMAT = wireFormatOf(METADATA, ['rfc7574']);
export const EVERYTHING = { start: 0, end: 39 };
export const one = (chunk: number) => ({ start: chunk, end: chunk });

/** A source and a reader that does nothing of its own accord, over an open channel. */
export function pair(options: Partial<PeerOptions> = {}, link: Link = { delayMs: 5 }) {
  const net = new VirtualSwarm(1, link);
  const said: { who: string; to: PeerAddress; message: Message }[] = [];
  const source = net.peer({ metadata: METADATA, content: CONTENT, ...options });
  const reader = net.peer({ metadata: METADATA, isIdle: true, ...options });
  const format = wireFormatOf(source.swarm.metadata, source.swarm.dialects);
  net.onSent = (from, { to, datagram }) => {
    const who = from === source.address ? 'source' : 'reader';
    for (const message of decodeDatagram(datagram, format).messages) said.push({ who, to, message });
  };
  const channel = reader.dial(source);
  net.run(100);
  const types = (who: string): string[] => said.filter(m => m.who === who).map(m => m.message.type);
  return { net, source, reader, channel, back: source.channels[0]!, said, types };
}

/** One of our channels, and a script for the other end. */
export function scripted(dialects: readonly Dialect[], more: Partial<Swarm> = {}) {
  const metadata = more.metadata ?? METADATA;
  const swarm: Swarm = {
    metadata,
    dialects,
    have: new ChunkSet(),
    integrity: new NoIntegrity(40),
    source: { read: chunk => CONTENT.subarray(chunk * 1_024, (chunk + 1) * 1_024) },
    ...more,
  };
  const channel = new Channel({ swarm, channel: 7, unixOffsetMs: 1_000_000 }, 0);
  const format = wireFormatOf(metadata, dialects);
  const say = (messages: readonly Message[], now: number): ChannelEvent[] =>
    channel.receive(encodeDatagram(7, messages, format), now);
  const answer = (dialect: Dialect, now: number, options: Options = {}): ChannelEvent[] =>
    say(
      [
        {
          type: 'HANDSHAKE',
          channel: 9,
          options: { ...ownOptions(metadata, dialect, 'responder'), ...options },
        },
      ],
      now,
    );
  const heard = (now: number, budget?: number): Message[][] =>
    channel.transmit(now, budget).map(datagram => [...decodeDatagram(datagram, format).messages]);
  return { channel, swarm, say, answer, heard };
}
