/**
 * What strangers can't do to an RTMP server, on real sockets and a virtual clock: whatever they say or leave out costs their own
 * connection, and a publisher and its player notice nothing.
 */
import { once } from 'node:events';
import { createServer, connect as dial, type Socket } from 'node:net';
import t from 'tap';
import { CONNECT_MS, HANDSHAKE_MS } from '../../../protocol/rtmp/constants.js';
import { command, connect, RtmpClient, said } from '../../support/rtmp-client.js';
import { until } from '../../support/until.js';
import { publishing, rtmpRoom } from './rtmp-room.js';

t.test('who is no RTMP client, or says nothing, or lies, loses its connection and nobody else’s', async t => {
  const room = await rtmpRoom(t);
  const { port, clock, logger, server } = room;
  const { client } = await publishing(t, room);
  const web = await RtmpClient.open(t, port);
  web.socket.write('GET / HTTP/1.1\r\n\r\n'.repeat(200));
  await web.over;
  const liar = await RtmpClient.connected(t, port);
  liar.publish('x');
  liar.say(command('publish', 3, null, 'x'), 5);
  const stranger = await RtmpClient.connected(t, port);
  stranger.say(command('play', 3, null, 'x'), 5);
  await stranger.over;
  const silent = await RtmpClient.open(t, port);
  const mute = dial(port, '127.0.0.1').resume();
  t.teardown(() => mute.destroy());
  await once(mute, 'connect');
  await until('they are in', () => server.connections === 4);
  await clock.advanceSlowly(HANDSHAKE_MS + 250);
  await until('the mute one is shown out', () => mute.destroyed);
  client.say(command('createStream', 9, null));
  await client.told('_result', 2);
  await clock.advanceSlowly(CONNECT_MS);
  await silent.over;
  t.same(logger.messages('error'), []);
});

t.test('so many from one address and not more', async t => {
  const { port } = await rtmpRoom(t, { server: { maxPerAddress: 2 } });
  await RtmpClient.connected(t, port);
  const second = await RtmpClient.open(t, port);
  const third = await RtmpClient.open(t, port);
  await third.over;
  second.say(connect('live'));
  t.ok(await second.told('NetConnection.Connect.Success'), 'the second is in');
});

t.test('who takes no answers is asked for nothing more, and what waits for it stays small', async t => {
  const accepted: Socket[] = [];
  const make = ((options: object, accept: (socket: Socket) => void) =>
    createServer(options, socket => {
      accepted.push(socket);
      accept(socket);
    })) as typeof createServer;
  const room = await rtmpRoom(t, { server: { createServer: make } });
  const { client: publisher } = await publishing(t, room);
  const deaf = await RtmpClient.connected(t, room.port);
  const ours = accepted.at(-1)!;
  deaf.socket.pause();
  const questions = Buffer.concat(Array(2_000).fill(said(command('nothing', 9, null))));
  await until('our side reads no more', async () => {
    deaf.socket.write(questions);
    await new Promise(setImmediate);
    return ours.isPaused();
  });
  t.ok(ours.writableLength < 2_000_000);
  deaf.socket.resume();
  await until('it goes on when they are taken', () => !ours.isPaused() && ours.writableLength === 0);
  publisher.say(command('createStream', 9, null));
  await publisher.told('_result', 2);
});
