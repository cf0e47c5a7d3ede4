/**
 * A registered host with one song, whose title it can change: what sets off the broadcasts that are timed.
 */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { encode } from '../../protocol/tsp/codec.js';
import { Framer } from '../../protocol/tsp/framing.js';
import { asContentHash } from '../../protocol/tsp/rows.js';

/** Answers how to change the title; that says when it was sent, in nanoseconds of the system's monotonic clock. */
export async function openHost(port: number, last: number): Promise<{ retitle(title: string): number }> {
  const address = `127.0.0.${1 + last}`;
  const hash = asContentHash('ab'.repeat(32))!;
  let registration: Socket | undefined;
  const proofs = createServer(socket => {
    const framer = new Framer();
    socket.on('data', chunk => {
      framer.push(chunk);
      for (let event = framer.next(); event !== undefined; event = framer.next())
        if (event.kind === 'message' && event.message.type === 'PING')
          registration?.write(encode({ type: 'PONG', value: event.message.value }));
    });
  }).listen(0, address);
  // It ends with the bench.
  proofs.unref();
  await once(proofs, 'listening');
  const socket = connect({ port, host: '127.0.0.1', localAddress: address, noDelay: true });
  registration = socket;
  const framer = new Framer();
  const hello = { tsp: 1, broadcasts: false } as const;
  socket.write(encode({ type: 'HELLO', port: (proofs.address() as { port: number }).port, hello }));
  await new Promise<void>(resolve => {
    socket.on('data', chunk => {
      framer.push(chunk);
      for (let event = framer.next(); event !== undefined; event = framer.next()) {
        if (event.kind === 'message' && event.message.type === 'LIST') {
          const row = Buffer.from(`${JSON.stringify({ hash, title: 'The first title' })}\n`);
          socket.write(Buffer.concat([encode({ type: 'LIST_INFO', revision: 0, length: row.length }), row]));
        } else if (event.kind === 'message' && event.message.type === 'PING')
          socket.write(encode({ type: 'PONG', value: event.message.value }));
        else if (event.kind === 'end' && event.header.type === 'SONG_IDS') resolve();
      }
    });
  });
  return {
    retitle(title) {
      const change = { hash, title: `Another title, ${title}`, artist: 'Somebody' };
      socket.write(encode({ type: 'UPDATE', changes: [change] }));
      return Number(process.hrtime.bigint());
    },
  };
}
