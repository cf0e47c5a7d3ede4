/**
 * The kinds of value that an option takes: how its text is read, what to say when it can't be, how it is shown.
 *
 *     '200k' ──parse──▶ 200_000 ──show──▶ 200000            '0' ──parse──▶ Infinity ──show──▶ 0   (no limit)
 *
 * Each `parse` returns undefined for text that it does not take; whoever knows where the text came from complains.
 */
import { isIP } from 'node:net';
import { isAbsolute, join } from 'node:path';
import { formatHostPort, type HostPort, parseHostPort } from '../protocol/tsp/addresses.js';
import { homeFolder } from './xdg.js';

export interface ValueType<T> {
  /** Stands for the value in the help: `--port PORT`. */
  readonly valueName: string;
  /** Completes «… is not …». */
  readonly expected: string;
  /** What the shell may offer, where there are few. */
  readonly choices?: readonly string[];
  parse(text: string): T | undefined;
  show(value: T): string | number | boolean | null;
  /** For people, where that differs: 2G instead of 2000000000. */
  brief?(value: T): string;
}

const UNIT = { '': 1, k: 1e3, m: 1e6, g: 1e9 } as const;
/** For people: there is none. */
export const NOTHING = '–';
const HIGHEST_PORT = 65_535;
/** What TSP's text fields carry. */
const MAX_NAME_BYTES = 255;

/** `1500`, `1.5k`, `200k`, `2G`: whole, not negative, at most 2^53. */
export function parseQuantity(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s?([kmg]?)$/i.exec(text.trim());
  if (match === null) return undefined;
  const exact = Number(match[1]) * UNIT[match[2]!.toLowerCase() as keyof typeof UNIT];
  const value = Math.round(exact);
  // 1.1k is not quite 1100 to a computer.
  return Number.isSafeInteger(value) && Math.abs(exact - value) < 1e-6 * Math.max(1, exact)
    ? value
    : undefined;
}

/** The shortest way to type it. */
export function briefQuantity(value: number): string {
  const units = Object.entries(UNIT).reverse() as [string, number][];
  const [unit, factor] = units.find(([, size]) => value >= size && value % (size / 10) === 0) ?? ['', 1];
  return `${value / factor}${unit === 'k' ? unit : unit.toUpperCase()}`;
}

const quantity = (valueName: string, expected: string): ValueType<number> => ({
  valueName,
  expected,
  parse: parseQuantity,
  show: value => value,
  brief: briefQuantity,
});

/** 0 means no limit, which is Infinity to the rest of the house. */
const limit = (valueName: string, expected: string): ValueType<number> => ({
  valueName,
  expected: `${expected}; 0 means no limit`,
  parse(text) {
    const value = parseQuantity(text);
    return value === 0 ? Number.POSITIVE_INFINITY : value;
  },
  show: value => (value === Number.POSITIVE_INFINITY ? 0 : value),
  brief: value => (value === Number.POSITIVE_INFINITY ? '0' : briefQuantity(value)),
});

export const size = quantity('SIZE', 'a size in bytes, such as 500M or 2G');
export const rate = limit('RATE', 'a rate in bytes a second, such as 300k or 1.5M');
export const countLimit = limit('N', 'a number, such as 8 or 200k');

/** Milliseconds, from a text in seconds. */
export const seconds: ValueType<number> = {
  valueName: 'SECONDS',
  expected: 'a time in seconds above 0, such as 5 or 0.5',
  parse: text => (/^\d+(?:\.\d+)?$/.test(text.trim()) && Number(text) > 0 ? Number(text) * 1_000 : undefined),
  show: value => value / 1_000,
};

export const positiveCount: ValueType<number> = {
  valueName: 'N',
  expected: 'a number above 0, such as 500 or 200k',
  parse: text => parseQuantity(text) || undefined,
  show: value => value,
  brief: briefQuantity,
};

/** 0 asks for any free one. */
export const port: ValueType<number> = {
  valueName: 'PORT',
  expected: `a port, 0 to ${HIGHEST_PORT}`,
  parse: text => (/^\d{1,5}$/.test(text) && Number(text) <= HIGHEST_PORT ? Number(text) : undefined),
  show: value => value,
};

/** `HOST:PORT`, or `HOST` at `defaultPort`. The port can be dialled, so it is not 0. */
export const hostPort = (defaultPort: number): ValueType<HostPort> => ({
  valueName: 'HOST:PORT',
  expected: `HOST:PORT, such as music.example:${defaultPort} or [2001:db8::2]:${defaultPort}`,
  parse(text) {
    const address = parseHostPort(text.trim(), defaultPort);
    // Digits alone are a port whose host was forgotten.
    return address === undefined || /^\d*$/.test(address.host) ? undefined : address;
  },
  show: ({ host, port }) => formatHostPort(host, port),
});

/** `PORT`, `HOST` or `HOST:PORT` to listen on; port 0 asks for any free one. */
export const listenAt = (
  usualPort: number,
): ValueType<{ readonly host?: string; readonly port: number }> => ({
  valueName: '[HOST:]PORT',
  expected: `PORT, HOST or HOST:PORT, such as ${usualPort}, 127.0.0.1:0 or [::1]:${usualPort}`,
  parse(text) {
    if (/^\d+$/.test(text)) {
      const bare = port.parse(text);
      return bare === undefined ? undefined : { port: bare };
    }
    const any = /^(.+):0$/.exec(text)?.[1];
    const address = parseHostPort(any ?? text, usualPort);
    if (address === undefined || address.host === '') return undefined;
    return any === undefined ? address : { host: address.host, port: 0 };
  },
  show: ({ host, port }) => (host === undefined ? port : formatHostPort(host, port)),
});

/** An address of this machine, or a name that stands for one; an IPv6 address with or without brackets. */
export const listenHost: ValueType<string> = {
  valueName: 'ADDRESS',
  expected: 'an address or a host name, such as 0.0.0.0, ::1 or localhost',
  parse(text) {
    const bare = /^\[(.+)\]$/.exec(text)?.[1] ?? text;
    return isIP(bare) !== 0 || /^(?!\d+$)[a-z0-9_][a-z0-9_-]*(\.[a-z0-9_][a-z0-9_-]*)*\.?$/i.test(bare)
      ? bare
      : undefined;
  },
  show: value => value,
};

/** Absolute, `~` being the home folder. Whether it is there is looked at later. */
export const folder: ValueType<string> = {
  valueName: 'DIR',
  expected: 'the path of a folder',
  parse: absolutePath,
  show: value => value,
};

export const file: ValueType<string> = {
  valueName: 'FILE',
  expected: 'the path of a file',
  parse: absolutePath,
  show: value => value,
};

/** A file to write, or `-` for standard output. */
export const outputFile: ValueType<string> = {
  ...file,
  expected: 'the path of a file, or - for standard output',
  parse: text => (text === '-' ? '-' : absolutePath(text)),
};

export const name: ValueType<string> = {
  valueName: 'NAME',
  expected: `a name of at most ${MAX_NAME_BYTES} bytes`,
  parse: text => (text.trim() !== '' && Buffer.byteLength(text) <= MAX_NAME_BYTES ? text.trim() : undefined),
  show: value => value,
};

export const httpUrl: ValueType<URL> = {
  valueName: 'URL',
  expected: 'a URL, such as http://alto.example/endpointcost',
  parse: text => (/^https?:\/\//.test(text) && URL.canParse(text) ? new URL(text) : undefined),
  show: value => value.href,
};

const orElse = <T>(type: ValueType<T>, nothing: 'auto' | null): ValueType<T | undefined> => ({
  ...type,
  show: value => (value === undefined ? nothing : type.show(value)),
  brief: value =>
    value === undefined ? (nothing ?? NOTHING) : (type.brief?.(value) ?? String(type.show(value))),
});

/** Where nothing given is a choice that is left to the command. */
export const orAuto = <T>(type: ValueType<T>): ValueType<T | undefined> => orElse(type, 'auto');

/** Where it means that there is none. */
export const orNone = <T>(type: ValueType<T>): ValueType<T | undefined> => orElse(type, null);

export const choice = <T extends string>(valueName: string, choices: readonly T[]): ValueType<T> => ({
  valueName,
  expected: `one of ${choices.join(', ')}`,
  choices,
  parse: text => choices.find(known => known === text),
  show: value => value,
});

/** One of `choices`, or `file:PATH`. */
export const output = (choices: readonly string[]): ValueType<string> => ({
  valueName: 'OUTPUT',
  expected: `one of ${choices.join(', ')} or file:PATH`,
  choices: [...choices, 'file:'],
  parse(text) {
    const path = /^file:(.+)$/s.exec(text)?.[1];
    if (path !== undefined) return `file:${absolutePath(path) ?? path}`;
    return choices.includes(text) ? text : undefined;
  },
  show: value => value,
});

function absolutePath(text: string): string | undefined {
  if (text === '' || text.includes('\0')) return undefined;
  if (text === '~' || text.startsWith('~/')) return join(homeFolder(), text.slice(1));
  return isAbsolute(text) ? text : join(process.cwd(), text);
}
