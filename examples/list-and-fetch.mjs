/**
 * Lists the songs of a tracker and fetches one of them, verified, into a file:
 *
 *     node examples/list-and-fetch.mjs [HOST:PORT] [SONG-ID]
 */
import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { openClient, safeText } from 'torero';

const [tracker = '127.0.0.1:7460', id] = process.argv.slice(2);
const client = openClient({ tracker });

const songs = await client.list();
for (const { id, title, artist } of songs) console.log(id, safeText(`${title} by ${artist}`));

const song = id ? await client.info(Number(id)) : songs[0];
if (song) {
  const bytes = client.fetch(song);
  await pipeline(bytes, createWriteStream(`${song.id}.mp3`));
  console.log(`${song.id}.mp3`, bytes.report());
}
await client.close();
