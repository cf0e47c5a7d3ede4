/**
 * The commands that a server sends, with what each client was seen to need (README.md): results, errors and statuses.
 *
 *     _result · _error       answer one command, by its transaction
 *     onStatus               tells what became of a stream; `level: error` makes ffmpeg and OBS leave at once
 */
import { type AmfValue, amfObject, EcmaArray } from './amf0.js';
import type { Message } from './messages.js';

type Reply = Extract<Message, { kind: 'command' | 'data' }>;

export const result = (transaction: number, ...values: readonly AmfValue[]): Reply => ({
  kind: 'command',
  name: '_result',
  transaction,
  values,
});

export const connected = (transaction: number): Reply =>
  result(
    transaction,
    amfObject({ fmsVer: 'FMS/3,5,7,7009', capabilities: 31, mode: 1 }),
    amfObject({
      level: 'status',
      code: 'NetConnection.Connect.Success',
      description: 'Welcome.',
      objectEncoding: 0,
    }),
  );

/** `_error`: the answer to a command that fails. */
export const failed = (transaction: number, code: string, description: string): Reply => ({
  kind: 'command',
  name: '_error',
  transaction,
  values: [null, amfObject({ level: 'error', code, description })],
});

export const status = (code: string, description: string): Reply => onStatus('status', code, description);

/** With level `status`, some errors would keep ffmpeg waiting for ever. */
export const refusal = (code: string, description: string): Reply => onStatus('error', code, description);

function onStatus(level: string, code: string, description: string): Reply {
  return {
    kind: 'command',
    name: 'onStatus',
    transaction: 0,
    values: [null, amfObject({ level, code, description })],
  };
}

/** Titles, codec and, of a song, its duration. As an ECMA array: ffmpeg reads nothing else. */
export const metadata = (values: Readonly<Record<string, AmfValue>>): Reply => ({
  kind: 'data',
  values: ['onMetaData', new EcmaArray(Object.entries(values))],
});

/** Players that read their own samples may; Flash asks. */
export const SAMPLE_ACCESS: Reply = { kind: 'data', values: ['|RtmpSampleAccess', true, true] };

/** A song's end as data; the status that follows it is what most players go by. */
export const PLAY_COMPLETE: Reply = {
  kind: 'data',
  values: ['onPlayStatus', amfObject({ level: 'status', code: 'NetStream.Play.Complete' })],
};
