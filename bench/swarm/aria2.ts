/**
 * The same file by BitTorrent: aria2c gives and aria2c fetches, and a tracker of a dozen lines tells the one of the other.
 *
 *     torrent: pieces of 256 KiB, SHA-1         tracker: GET /announce ─▶ the seeder, whoever asks
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename, dirname, join } from 'node:path';
import { type Cost, costOf, ended } from './processes.js';

const PIECE_BYTES = 256 * 1_024;
const SEED_PORT = 26_881;
const FETCH_PORT = 26_882;
const QUIET = [
  '--quiet',
  '--enable-dht=false',
  '--bt-enable-lpd=false',
  '--enable-peer-exchange=false',
  '--file-allocation=none',
];

export const hasAria2 = (): boolean => spawnSync('aria2c', ['--version']).status === 0;

export class Torrent {
  readonly #folder: string;
  readonly #torrent: string;
  readonly #seeder: ChildProcess;
  readonly #tracker: Server;

  private constructor(folder: string, torrent: string, seeder: ChildProcess, tracker: Server) {
    this.#folder = folder;
    this.#torrent = torrent;
    this.#seeder = seeder;
    this.#tracker = tracker;
  }

  /** Resolves when the seeder has announced itself. */
  static async start(folder: string, file: string): Promise<Torrent> {
    let announced = (): void => {};
    const seeding = new Promise<void>(resolve => {
      announced = resolve;
    });
    const peer = Buffer.from([127, 0, 0, 1, SEED_PORT >> 8, SEED_PORT & 0xff]);
    const tracker = createServer((request, response) => {
      if (request.url!.includes(`port=${SEED_PORT}`)) announced();
      response.end(bencode({ interval: 5, peers: peer }));
    });
    tracker.listen(0, '127.0.0.1');
    await once(tracker, 'listening');
    const { port } = tracker.address() as AddressInfo;
    const torrent = join(folder, 'file.torrent');
    await writeFile(
      torrent,
      torrentOf(basename(file), await readFile(file), `http://127.0.0.1:${port}/announce`),
    );
    const words = [
      '--check-integrity=true',
      '--seed-ratio=0.0',
      `--listen-port=${SEED_PORT}`,
      `--dir=${dirname(file)}`,
    ];
    const seeder = spawn('aria2c', [...QUIET, ...words, torrent], { stdio: 'ignore' });
    await seeding;
    return new Torrent(folder, torrent, seeder, tracker);
  }

  async fetch(): Promise<Cost> {
    const out = join(this.#folder, 'torrent');
    await mkdir(out);
    const words = ['--seed-time=0', `--listen-port=${FETCH_PORT}`, `--dir=${out}`, this.#torrent];
    const cost = await costOf(['aria2c', ...QUIET, ...words], [{ pid: this.#seeder.pid! }]);
    await rm(out, { recursive: true });
    return cost;
  }

  async end(): Promise<void> {
    await ended(this.#seeder);
    this.#tracker.close();
  }
}

function torrentOf(name: string, content: Uint8Array, announce: string): Buffer {
  const pieces: Buffer[] = [];
  for (let at = 0; at < content.length; at += PIECE_BYTES)
    pieces.push(
      createHash('sha1')
        .update(content.subarray(at, at + PIECE_BYTES))
        .digest(),
    );
  const info = { length: content.length, name, 'piece length': PIECE_BYTES, pieces: Buffer.concat(pieces) };
  return bencode({ announce, info });
}

type Bencoded = number | string | Uint8Array | { readonly [key: string]: Bencoded };

/** Keys are given in their order, as BitTorrent wants them. */
function bencode(value: Bencoded): Buffer {
  if (typeof value === 'number') return Buffer.from(`i${value}e`);
  if (typeof value === 'string') return bencode(Buffer.from(value));
  if (value instanceof Uint8Array) return Buffer.concat([Buffer.from(`${value.length}:`), value]);
  const parts = Object.entries(value).flatMap(([key, item]) => [bencode(key), bencode(item)]);
  return Buffer.concat([Buffer.from('d'), ...parts, Buffer.from('e')]);
}
