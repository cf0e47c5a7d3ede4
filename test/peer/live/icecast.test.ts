/** The Icecast door, over real sockets: scripted butt, ices and liquidsoap, players, and what they may not do. */
import { connect, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { ChunkedBody } from '../../../peer/live/chunked-body.js';
import {
  formatOf,
  parseRequest,
  passwordOf,
  titleOfSource,
  titleOfUpdate,
} from '../../../peer/live/icecast-request.js';
import { IcecastServer } from '../../../peer/live/icecast-server.js';
import { IcyStream, METADATA_INTERVAL, streamTitle } from '../../../peer/live/icy-stream.js';
import type { LiveFeedsOptions } from '../../../peer/live/live-feeds.js';
import { mp3Bytes } from '../../support/mp3.js';
import { RecordingLogger } from '../../support/recording-logger.js';
import { until } from '../../support/until.js';
import { feedId, framesOf, makeFeeds, makeUploads } from './feeding.js';
import { bytesOf } from './on-air.js';

async function door(t: Test, options: Partial<LiveFeedsOptions> = {}) {
  const room = makeFeeds(options);
  const logger = new RecordingLogger();
  const server = new IcecastServer({
    feeds: room.feeds,
    uploads: makeUploads(room.clock),
    clock: room.clock,
    logger,
    at: { host: '127.0.0.1', port: 0 },
    maxConnections: 100,
    maxPerAddress: 100,
  });
  await server.start();
  t.teardown(() => server.stop());
  return { ...room, server, logger };
}

/** A connection that says this, and what came back so far. */
function say(t: Test, server: IcecastServer, ...parts: (string | Uint8Array)[]) {
  const socket: Socket = connect({ host: '127.0.0.1', port: server.port, allowHalfOpen: true });
  t.teardown(() => socket.destroy());
  const came: Buffer[] = [];
  const state = { ended: false };
  socket.on('data', chunk => came.push(chunk)).on('end', () => Object.assign(state, { ended: true }));
  socket.on('error', () => {});
  for (const part of parts) socket.write(part);
  return {
    socket,
    state,
    bytes: () => Buffer.concat(came),
    says: (what: RegExp) => until(`${what}`, () => what.test(Buffer.concat(came).toString('latin1'))),
  };
}

const basic = (user: string, password: string): string =>
  `Authorization: Basic ${Buffer.from(`${user}:${password}`).toString('base64')}\r\n`;
const butt = `SOURCE /radio HTTP/1.0\r\n${basic('source', 'r4d10')}User-Agent: butt 0.1.37\r\nContent-Type: audio/mpeg\r\nice-name: No Name\r\nice-audio-info: ice-bitrate=128\r\n\r\n`;

t.test('a SOURCE is heard bit for bit, and its end without a word is a loss', async t => {
  const { server, feeds, clock } = await door(t);
  const frames = framesOf(3);
  const source = say(t, server, butt);
  await source.says(/^HTTP\/1\.0 200 OK\r\n\r\n$/);
  source.socket.write(bytesOf(frames));
  const feed = await until('it is on the air', () => feeds.feed('radio'));
  await until('all of it', () => feed.endMs > 3_000);
  const player = say(t, server, 'GET /radio.mp3 HTTP/1.1\r\nHost: x\r\n\r\n');
  await player.says(/^HTTP\/1\.0 200 OK\r\n.*Content-Type: audio\/mpeg\r\n.*icy-br: 128\r\n.*\r\n\r\n/s);
  const music = () => player.bytes().subarray(player.bytes().indexOf('\r\n\r\n') + 4);
  await until('the burst', () => music().length === bytesOf(frames).length);
  t.ok(music().equals(bytesOf(frames)));
  source.socket.end();
  await until('the source is let go', () => source.state.ended);
  clock.advance(11_000);
  t.equal(feeds.feed('radio'), feed, 'it is waited for');
  clock.advance(2_000);
  t.equal(feeds.feed('radio'), undefined);
  await until('the player is told', () => player.state.ended);
});

t.test('PUT, expecting and in chunks, ends with a goodbye', async t => {
  const { server, feeds } = await door(t);
  const head = `PUT /radio HTTP/1.1\r\n${basic('source', 'r4d10')}Expect: 100-continue\r\nTransfer-Encoding: chunked\r\nice-name: Jazz at Night\r\n\r\n`;
  const source = say(t, server, head);
  await source.says(/^HTTP\/1\.1 100 Continue\r\n\r\n$/);
  const music = mp3Bytes({ seconds: 1 });
  for (const piece of [music.subarray(0, 1_000), music.subarray(1_000)])
    source.socket.write(
      Buffer.concat([Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n')]),
    );
  const feed = await until('it is on the air', () => feeds.feed('radio'));
  t.same(feed.title, { title: 'Jazz at Night' });
  source.socket.write('0\r\n\r\n');
  await source.says(/200 OK/);
  t.ok(feed.isOver);
});

t.test('a player whom the line does not bear is told so, and the next one when there is room', async t => {
  const { server, publish } = await door(t, { maxUploadBytesPerSecond: 25_000 });
  const publication = publish();
  publication.send(mp3Bytes({ seconds: 1 }));
  const { places } = publication.feed;
  const get = 'GET /radio HTTP/1.0\r\n\r\n';
  const player = say(t, server, get);
  await player.says(/ 200 OK/);
  await say(t, server, get).says(/ 503 .*Retry-After: 2\r\n.*as many listen here as the line can bear/s);
  await say(t, server, get.replace('GET', 'HEAD')).says(/ 200 OK/);
  t.equal(places.used, 1);
  player.socket.resetAndDestroy();
  await until('its place is free', () => places.used === 0);
  await say(t, server, get).says(/ 200 OK/);
});

t.test('a relayed feed goes by its own name', async t => {
  const { server, feeds } = await door(t);
  const publication = feeds.relay('relay-9', feedId('radio')).publish(() => {});
  publication.titled({ station: 'Radio\r\nX: Sur' });
  publication.send(mp3Bytes({ seconds: 1 }));
  const player = say(t, server, 'GET /relay-9 HTTP/1.0\r\nIcy-MetaData: 1\r\n\r\n');
  await player.says(/\r\nicy-name: Radio[^\r\n]*X: Sur\r\n/);
});

t.test('a wrong key, another mount, a format that is none, and one publisher too many', async t => {
  const { server, feeds, publish, logger } = await door(t);
  const wrong = say(t, server, butt.replace(basic('source', 'r4d10'), basic('source', 'guessed')));
  await wrong.says(/^HTTP\/1\.0 401 Unauthorized\r\nWWW-Authenticate: Basic/);
  await say(t, server, butt.replace('/radio', '/talk')).says(/ 401 /);
  await say(t, server, butt.replace(/Authorization.*\r\n/, '')).says(/ 401 /);
  await say(t, server, butt.replace('audio/mpeg', 'video/mp4')).says(/ 415 /);
  await say(t, server, butt.replace('audio/mpeg', 'audio/aac')).says(/ 415 .*AAC needs ffmpeg/s);
  t.same([...feeds.feeds()], []);
  publish();
  await say(t, server, butt).says(/ 403 .*somebody is publishing radio already/s);
  await say(t, server, 'GET /nowhere HTTP/1.0\r\n\r\n').says(/ 404 /);
  await say(t, server, 'BREW /radio HTTP/1.0\r\n\r\n').says(/ 405 /);
  await say(t, server, 'hello\r\n\r\n').says(/ 400 /);
  await say(t, server, `GET /${'x'.repeat(9_000)}`).says(/ 400 /);
  await say(t, server, 'GET /%ff HTTP/1.0\r\n\r\n').says(/ 400 /);
  t.notMatch(JSON.stringify(logger.entries), /r4d10|guessed/);
});

t.test('titles come by themselves, with the key, and reach players between the music', async t => {
  const { server, feeds } = await door(t);
  const source = say(t, server, butt, mp3Bytes({ seconds: 4 }));
  const feed = await until('it is on the air', () => feeds.feed('radio'));
  const player = say(t, server, 'GET /radio HTTP/1.0\r\nIcy-MetaData: 1\r\n\r\n');
  await player.says(/icy-metaint: 16000\r\n.*StreamTitle='radio';/s);
  const update = (password: string) =>
    say(
      t,
      server,
      `GET /admin/metadata?mode=updinfo&mount=/radio&song=Miles%20Davis%20-%20So+What HTTP/1.0\r\n${basic('source', password)}\r\n`,
    );
  await update('guessed').says(/ 401 /);
  t.same(feed.title, {});
  await update('r4d10').says(/ 200 OK.*<return>1<\/return>/s);
  t.same(feed.title, { title: 'So What', artist: 'Miles Davis' });
  source.socket.write(mp3Bytes({ seconds: 4 }));
  await player.says(/StreamTitle='Miles Davis - So What';/);
});

t.test('who says nothing, and who is slow to say it, is let go', async t => {
  const { server, clock } = await door(t);
  const silent = say(t, server, 'GET /ra');
  await until('it is connected', () => silent.socket.readyState === 'open');
  await until('it is let go', () => {
    clock.advance(1_000);
    return silent.state.ended;
  });
});

t.test('heads as odd clients write them', async t => {
  const key = basic('source', 'r4d10');
  for (const [what, head] of [
    ['lines that end with LF', `SOURCE /radio HTTP/1.0\r\n${key}\r\n`.replaceAll('\r', '')],
    ['a whole URL', `PUT http://radio.example:8000/radio HTTP/1.1\r\nHost: radio.example\r\n${key}\r\n`],
    [
      'an escaped name',
      `SOURCE /%72adio ICE/1.0\r\n${key.replace('Authorization: Basic', 'AUTHORIZATION: basic')}\r\n`,
    ],
    ['a parameter', `SOURCE /radio.mp3?x HTTP/1.0\r\n${key}Content-Type: audio/mpeg; charset=x\r\n\r\n`],
    ['names that objects have', `SOURCE /radio HTTP/1.0\r\n__proto__: x\r\nconstructor: y\r\n${key}\r\n`],
  ] as const) {
    const { server, feeds } = await door(t);
    say(t, server, head, mp3Bytes({ seconds: 1 }));
    t.ok(await until(what, () => feeds.feed('radio')), what);
  }
  const { server, feeds } = await door(t);
  const both = `PUT /radio HTTP/1.1\r\n${key}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n`;
  const sound = mp3Bytes({ seconds: 1 });
  say(t, server, both, `${sound.length.toString(16)}\r\n`, sound, '\r\n');
  await until('chunks count, not the length', () => (feeds.feed('radio')?.endMs ?? 0) > 900);
  const long = `GET /radio HTTP/1.0\r\nX: ${'y'.repeat(9_000)}\r\n\r\n`;
  await say(t, server, long).says(/^HTTP\/1.0 400/);
  await say(t, server, 'GET / HTTP/1.0\r\n\r\n').says(/404 .*Nothing is on the air/s);
});

t.test('HEAD tells what would come', async t => {
  const { server, feeds } = await door(t);
  say(t, server, butt, mp3Bytes({ seconds: 1 }));
  await until('it is on the air', () => feeds.feed('radio'));
  const head = say(t, server, 'HEAD /radio HTTP/1.0\r\n\r\n');
  await head.says(/audio\/mpeg/);
  await until('and no more', () => head.state.ended);
});

t.test('a body in chunks is the same in any cut', async t => {
  const wire = Buffer.from('5;x=y\r\nhello\r\n1\r\n!\r\n0\r\n\r\nrest');
  for (let cut = 1; cut < wire.length; cut += 1) {
    const body = new ChunkedBody();
    const came: Uint8Array[] = [];
    for (let at = 0; at < wire.length; at += cut) came.push(...body.push(wire.subarray(at, at + cut)));
    t.equal(Buffer.concat(came).toString(), 'hello!');
    t.ok(body.isOver);
  }
  t.throws(() => new ChunkedBody().push(Buffer.from('nonsense\r\n')), RangeError);
  t.throws(() => new ChunkedBody().push(Buffer.alloc(300, 0x31)), RangeError);
});

t.test('what requests mean', async t => {
  const of = (head: string) => parseRequest(head)!;
  t.equal(of('PUT /a%20b.ogg?x=1 HTTP/1.1').mount, 'a b');
  t.equal(parseRequest('GET radio HTTP/1.0'), undefined);
  t.equal(passwordOf(of('GET /x HTTP/1.0\r\nAuthorization: Basic !!')), '');
  t.equal(passwordOf(of(`GET /x HTTP/1.0\r\n${basic('me', 'with:colon').trim()}`)), 'with:colon');
  t.match(formatOf(of('PUT /x HTTP/1.1\r\nContent-Type: application/ogg')), { container: 'ogg' });
  t.same(titleOfUpdate(of('GET /admin/metadata?song=Alone HTTP/1.0')), { title: 'Alone', artist: '' });
  t.same(
    titleOfUpdate(of('GET /admin/metadata?mount=/x&song=Who?%20-%20Where? HTTP/1.0')),
    { artist: 'Who?', title: 'Where?' },
    'a query may have question marks in it (RFC 3986 §3.4)',
  );
  t.same(titleOfUpdate(of('GET /admin/metadata?title=T&artist=A HTTP/1.0')), { title: 'T', artist: 'A' });
  t.equal(streamTitle({}, 'radio'), 'radio');
});

t.test('titles are read as they were written', async t => {
  const update = (query: string) => titleOfUpdate(parseRequest(`GET /admin/metadata?${query} HTTP/1.0`)!);
  const deja = { artist: 'Beyoncé', title: 'Déjà' };
  t.same(update('song=Beyonc%C3%A9+-+D%C3%A9j%C3%A0&charset=UTF-8'), deja);
  t.same(update('song=Beyonc%E9+-+D%E9j%E0&charset=ISO-8859-1'), deja);
  t.same(update('song=Beyonc%E9+-+D%E9j%E0'), deja, 'nobody says: what is no UTF-8 is Latin-1');
  t.same(update('charset=koi8-r&title=%EB%C9%CE%CF'), { title: 'Кино', artist: undefined });
  t.same(update('title=1%2B1=2&charset=none'), { title: '1+1=2', artist: undefined }, 'no such charset');
  const source = (bytes: Buffer) =>
    titleOfSource(parseRequest(`SOURCE /x HTTP/1.0\r\nice-name: ${bytes.toString('latin1')}`)!);
  t.same(source(Buffer.from('Café')), { title: 'Café' });
  t.same(source(Buffer.from('Café', 'latin1')), { title: 'Café' });
});

t.test('titles between the music are where players look for them', async t => {
  const icy = new IcyStream();
  icy.setTitle("it's '; over");
  const woven = Buffer.concat(icy.weave([Buffer.alloc(20_000, 1), Buffer.alloc(20_000, 2)]));
  const blocks = woven[METADATA_INTERVAL]!;
  const text = woven.toString('utf8', METADATA_INTERVAL + 1, METADATA_INTERVAL + 1 + 16 * blocks);
  t.equal(text.replace(/\0+$/, ''), "StreamTitle='it's ’; over';");
  t.equal(woven[2 * METADATA_INTERVAL + 1 + 16 * blocks], 0, 'told once');
  t.equal(woven.length, 40_000 + 2 + 16 * blocks);
});

t.test('who has been told everything and stays is let go', async t => {
  const { server, publish, clock } = await door(t);
  const publication = publish();
  publication.send(mp3Bytes({ seconds: 1 }));
  const about = say(t, server, 'HEAD /radio HTTP/1.1\r\n\r\n');
  const player = say(t, server, 'GET /radio HTTP/1.1\r\n\r\n');
  await player.says(/\r\n\r\n./s);
  publication.end();
  const isGone = ({ socket }: typeof about): boolean => {
    socket.write('still here');
    return socket.destroyed;
  };
  for (const each of [about, player]) await until('the end', () => each.state.ended);
  await clock.advanceSlowly(1_000);
  await until('it is gone', () => isGone(about));
  t.notOk(isGone(player), 'a player may be slow');
  await clock.advanceSlowly(29_000);
  await until('it is gone, too', () => isGone(player));
});

t.test('what was asked for is not said back', async t => {
  const { server } = await door(t);
  const player = say(t, server, 'GET /%3Cscript%3E%1b HTTP/1.1\r\n\r\n');
  await player.says(/^HTTP\/1\.0 404 .*Nothing is on the air/s);
  t.notMatch(player.bytes().toString(), /script/);
});
