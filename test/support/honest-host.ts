/** What a host that a test plays itself answers: the truth, but for what the test makes of a song's bytes. */
import { MerkleTree } from '../../protocol/merkle.js';
import type { Message, Welcome } from '../../protocol/tsp/messages.js';
import type { TspClient } from './tsp-client.js';

/** For `Network.scriptedHost`. `spoil` writes the bytes of a SONG_DATA that was announced; `welcome`: what HELLO is answered. */
export function honestBut(
  song: Buffer,
  spoil: (client: TspClient, offset: number, bytes: Buffer) => unknown,
  welcome: Partial<Welcome> = {},
) {
  const nodes = new MerkleTree().update(song).digest().nodes(6);
  return async (client: TspClient, request: Message): Promise<void> => {
    if (request.type === 'HASHES') {
      client.send({ type: 'HASH_LIST', song: request.song, length: nodes.length });
      client.write(nodes);
    } else if (request.type === 'RANGE') {
      const end = request.count === 0 ? song.length : Math.min(song.length, request.offset + request.count);
      const bytes = Buffer.from(song.subarray(request.offset, end));
      client.send({ type: 'SONG_DATA', song: request.song, length: bytes.length });
      await spoil(client, request.offset, bytes);
    } else if (request.type === 'INFO') {
      client.sendRows({ type: 'SONG_INFO', song: request.song }, []);
    } else if (request.type === 'HELLO') {
      client.send({ type: 'WELCOME', revision: 0, welcome: { tsp: 1, ...welcome } });
    }
  };
}
