/** A source client that a test scripts: it publishes silence that is no silence, at the pace of time, until it is killed. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { mpegFrames } from './mp3.js';
import type { Teardown } from './until.js';

/** Sent at a time, and each so often: a little more than time itself, so that a slow machine does not fall behind. */
const PIECE_SECONDS = 0.21;
const EVERY_MS = 200;

export interface IcecastSource {
  readonly socket: Socket;
  /** As a crash does it. */
  kill(): void;
}

/** Resolves when it was let in; rejects with what it was answered instead. */
export async function publishTo(
  t: Teardown,
  { port, mount, key, seed }: { port: number; mount: string; key: string; seed: number },
): Promise<IcecastSource> {
  const socket = connect({ host: '127.0.0.1', port });
  t.teardown(() => socket.destroy());
  socket.on('error', () => {});
  const auth = Buffer.from(`source:${key}`).toString('base64');
  socket.write(
    `SOURCE /${mount} HTTP/1.0\r\nAuthorization: Basic ${auth}\r\nContent-Type: audio/mpeg\r\n\r\n`,
  );
  const [answer] = await once(socket, 'data');
  if (!/ 200 /.test(String(answer))) throw new Error(String(answer));
  socket.write(mpegFrames({ seconds: 1, seed }));
  const timer = setInterval(() => socket.write(mpegFrames({ seconds: PIECE_SECONDS, seed })), EVERY_MS);
  socket.once('close', () => clearInterval(timer));
  return { socket, kill: () => socket.resetAndDestroy() };
}
