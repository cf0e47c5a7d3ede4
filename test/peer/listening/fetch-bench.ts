/** A fetch whose hosts answer exactly when a test says so, on virtual time. */
import { HostBook } from '../../../peer/listening/choose-host.js';
import type { FetchEffect, FetchTask } from '../../../peer/listening/fetch-effects.js';
import { FetchLogic } from '../../../peer/listening/fetch-logic.js';
import { PIECE_BYTES } from '../../../protocol/tsp/constants.js';
import type { Question } from '../../../protocol/tsp/download.js';
import type { ErrorBody } from '../../../protocol/tsp/messages.js';
import { type TestSong, testSong } from './scripted-host.js';

export const song = testSong(40 * PIECE_BYTES + 100);
export const [A, B, C] = ['10.0.0.1:1', '10.0.0.2:1', '10.0.0.3:1'] as const;

export interface BenchTask extends Partial<FetchTask> {
  readonly hosts?: readonly string[];
  /** False: helpers are asked by RANGE at once, without a HELLO. With swarms, none helps before it is `greeted`. */
  readonly usesSwarms?: boolean;
}

export class Bench {
  now = 1_000;
  readonly book = new HostBook(() => 0);
  readonly logic: FetchLogic;
  readonly log: FetchEffect[] = [];
  readonly owed = new Map<string, Question[]>();
  /** Left to the swarm. */
  readonly wanted = new Set<number>();
  delivered = 0;
  autoConsume = true;

  constructor(
    { hosts = [A, B, C], usesSwarms = true, ...task }: BenchTask = {},
    readonly of: TestSong = song,
  ) {
    const toFetch = { hash: of.hash, id: of.id, hosts, size: of.bytes.length, ...task.song };
    this.logic = new FetchLogic(
      { fromByte: 0, urgency: 'now', ...task, song: toFetch },
      this.book,
      usesSwarms,
    );
    this.do(this.logic.start(this.now));
  }

  do(effects: readonly FetchEffect[]): void {
    for (const effect of effects) {
      this.log.push(effect);
      if (effect.do === 'ask') {
        const owed = this.owed.get(effect.host) ?? [];
        this.owed.set(effect.host, [...owed, ...effect.asks.map(ask => ask.question)]);
      } else if (effect.do === 'let-go') this.owed.delete(effect.host);
      else if (effect.do === 'want') for (const piece of effect.pieces) this.wanted.add(piece);
      else if (effect.do === 'unwant') for (const piece of effect.pieces) this.wanted.delete(piece);
      else if (effect.do === 'deliver') {
        this.delivered = effect.index * PIECE_BYTES + effect.piece.length;
        if (this.autoConsume) this.do(this.logic.consumed(this.delivered, this.now));
      }
    }
  }

  /** `host` answers its oldest question honestly; `bytes` limits how much of a range comes. */
  answer(host: string, bytes = Number.POSITIVE_INFINITY, from: TestSong = this.of): void {
    const question = this.owed.get(host)?.[0];
    if (question === undefined) throw new Error(`${host} owes nothing`);
    const tell = (event: Parameters<FetchLogic['receive']>[1]): void =>
      this.do(this.logic.receive(host, event, this.now));
    if (question.type === 'RANGE') {
      const data = from.bytes.subarray(question.offset, question.offset + question.count);
      tell({ kind: 'begun', question, header: { type: 'SONG_DATA', song: from.id, length: data.length } });
      tell({ kind: 'data', question, bytes: data.subarray(0, bytes) });
      if (bytes < data.length) return;
      // It may have been let go meanwhile, and asked for something else.
      if (this.owed.get(host)?.[0] !== question) return;
    }
    this.owed.get(host)?.shift();
    tell(
      question.type === 'HASHES'
        ? { kind: 'answered', question, nodes: from.nodes }
        : { kind: 'answered', question },
    );
  }

  refuse(host: string, error: ErrorBody): void {
    const question = this.owed.get(host)!.shift()!;
    this.do(this.logic.receive(host, { kind: 'refused', question, error }, this.now));
  }

  /** `host` answers HELLO: it speaks PPSPP on a port, or not. */
  greet(host: string, swarmPort?: number): void {
    this.book.greeted(host, swarmPort === undefined ? {} : { swarmPort }, this.now);
    this.do(this.logic.greeted(host, this.now));
  }

  /** The swarm brings a piece that is left to it, out of what `host` sent. */
  bring(piece: number, host: string): void {
    const bytes = this.of.bytes.subarray(piece * PIECE_BYTES, (piece + 1) * PIECE_BYTES);
    this.logic.swarmHeard(host, bytes.length, this.now);
    const from = [{ host, bytes: bytes.length }];
    this.do(this.logic.swarmBrought({ index: piece, bytes, from }, this.now));
  }

  /** Moves time on, waking the logic whenever it wants to be. */
  pass(ms: number): void {
    const end = this.now + ms;
    for (let wakes = 0; ; wakes += 1) {
      if (wakes > ms) throw new Error('the logic is woken again and again without getting on');
      const next = this.logic.nextDeadline();
      if (next === undefined || next > end) break;
      this.now = Math.max(this.now, next);
      this.do(this.logic.expire(this.now));
    }
    this.now = end;
  }

  get askedHosts(): string[] {
    return this.log.flatMap(effect => (effect.do === 'ask' ? [effect.host] : []));
  }

  /** Effects of one kind, in their order. */
  did<K extends FetchEffect['do']>(kind: K): Extract<FetchEffect, { do: K }>[] {
    return this.log.filter((effect): effect is Extract<FetchEffect, { do: K }> => effect.do === kind);
  }

  get ending(): FetchEffect | undefined {
    return this.log.find(effect => effect.do === 'finish' || effect.do === 'fail');
  }

  get error(): unknown {
    return this.ending?.do === 'fail' ? this.ending.error : undefined;
  }
}
