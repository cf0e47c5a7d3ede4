/**
 * What a command is answered with, as data: rendered for a terminal by `render.ts`, or as one JSON object here.
 *
 *     {"command":"list","songs":[…],"stale":false}
 *     {"command":"play","error":{"code":"no-such-song","message":"…","hint":"…"}}
 *     {"event":"ended","song":{…},"outcome":"finished","startedInMs":9,"stutters":0,"sources":[…],"verified":true}
 *
 * Songs appear as rows as on the wire (TSP §3.1, §3.2).
 */
import type { SongRow } from '../../protocol/tsp/rows.js';
import { errorAsJson, type Failure, failureOf } from '../failures/failure.js';
import type { NowPlaying, PeerEvent, PeerStatus, QueueView } from './peer-view.js';
import { COMMAND_NAMES, type CommandName, VOCABULARY } from './vocabulary.js';

export type Answer =
  | {
      readonly kind: 'songs';
      readonly songs: readonly SongRow[];
      readonly words: string;
      readonly stale: boolean;
    }
  | { readonly kind: 'info'; readonly songs: readonly SongRow[] }
  /** `others`: how many more songs the words would have matched. */
  | {
      readonly kind: 'chosen';
      readonly songs: readonly SongRow[];
      readonly others: number;
      readonly when: 'now' | 'later';
    }
  | { readonly kind: 'queue'; readonly queue: QueueView }
  /** One sentence; `data` is what a program gets besides. */
  | { readonly kind: 'said'; readonly text: string; readonly data?: object }
  | {
      readonly kind: 'status';
      readonly now: NowPlaying;
      readonly queue: QueueView;
      readonly status: PeerStatus;
    }
  | { readonly kind: 'help'; readonly topic?: CommandName }
  | { readonly kind: 'failure'; readonly failure: Failure };

export const failed = (failure: Failure): Answer => ({ kind: 'failure', failure });

/** The one object that answers `command` in NDJSON. */
export function answerAsJson(command: string, answer: Answer): object {
  switch (answer.kind) {
    case 'songs':
      return { command, songs: answer.songs, stale: answer.stale };
    case 'info':
      return { command, songs: answer.songs };
    case 'chosen':
      return { command, songs: answer.songs, others: answer.others };
    case 'queue':
      return { command, ...answer.queue };
    case 'said':
      return { command, message: answer.text, ...answer.data };
    case 'status':
      return { command, ...answer.now, queue: answer.queue, ...answer.status };
    case 'help': {
      const names = answer.topic === undefined ? COMMAND_NAMES : [answer.topic];
      return { command, commands: names.map(name => ({ name, ...helpOf(name) })) };
    }
    case 'failure':
      return { command, error: errorAsJson(answer.failure) };
  }
}

/** The object of an event in NDJSON; undefined for those that only redraw the screen. */
export function eventAsJson(event: PeerEvent): object | undefined {
  switch (event.kind) {
    case 'progress':
    case 'scanning':
      return undefined;
    case 'ended': {
      const { song, outcome, startedInMs, stutters, report, error } = event;
      const { sources, failed: failedHosts, verified, verifiedBytes, relayed } = report;
      const problem = error === undefined ? {} : { error: errorAsJson(failureOf(error)) };
      return {
        event: 'ended',
        song,
        outcome,
        startedInMs,
        stutters,
        sources,
        failed: failedHosts,
        verified,
        ...(verifiedBytes !== undefined && { verifiedBytes }),
        ...(relayed && { relayed }),
        ...problem,
      };
    }
    default: {
      const { kind, ...rest } = event;
      return { event: kind, ...rest };
    }
  }
}

const helpOf = (name: CommandName) => ({ usage: VOCABULARY[name].usage, summary: VOCABULARY[name].summary });
