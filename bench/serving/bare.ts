/**
 * As little of a song server as can be: whoever says anything gets the song, from pages that the kernel sends as they
 * lie. It knows no protocol, no limits, no second song and no slow listener; what it costs is Node's own, and the kernel's.
 * `node bare.js FILE`; prints `PORT` when it listens.
 */
import { readFile } from 'node:fs/promises';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { openPageArena } from '../../peer/hosting/page-arena.js';
import { encode } from '../../protocol/tsp/codec.js';
import { asSongId } from '../../protocol/tsp/song-id.js';

const SLICE_BYTES = 1024 * 1024;
/** Written through Node when the socket is full, to hear when it has room. */
const WRITTEN_BYTES = 4 * 1024;
const NOTHING = new Uint8Array();

const song = await readFile(process.argv[2]!);
const arena = await openPageArena(song.length + 2 * SLICE_BYTES);
const header = encode({ type: 'SONG_DATA', song: asSongId(1)!, length: song.length });
const slices: Uint8Array[] = [];
for (let start = 0; start < song.length; start += SLICE_BYTES) {
  const bytes = song.subarray(start, start + SLICE_BYTES);
  const slice = arena.allocate(bytes.length)!;
  slice.set(bytes);
  slices.push(slice);
}

function send(socket: Socket, left: Uint8Array, begun: number, offset: number): void {
  const { fd } = (socket as unknown as { readonly _handle: { readonly fd: number } })._handle;
  let head = left;
  let start = offset;
  for (let index = begun; index < slices.length; index += 1) {
    const slice = slices[index]!.subarray(start);
    const sent = arena.send(fd, head, slice);
    if (sent < head.length + slice.length) {
      if (sent < head.length) throw new Error('a socket without room for a header');
      const rest = slice.subarray(sent - head.length).subarray(0, WRITTEN_BYTES);
      const next = start + sent - head.length + rest.length;
      socket.write(rest, error => error || socket.destroyed || send(socket, NOTHING, index, next));
      return;
    }
    head = NOTHING;
    start = 0;
  }
}

const server = createServer({ noDelay: true }, socket => {
  socket.on('error', () => {});
  socket.on('data', () => send(socket, header, 0, 0));
});
server.listen(0, '127.0.0.1', () => console.log((server.address() as AddressInfo).port));
