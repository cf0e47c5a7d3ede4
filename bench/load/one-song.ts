/** A registered host of one song, whose title can be changed. */
import { connectTsp, listenTsp, type TspClient } from '../../test/support/tsp-client.js';
import type { Teardown } from '../../test/support/until.js';

const HASH = 'c'.repeat(64);

export async function hostOneSong(t: Teardown, trackerPort: number): Promise<(title: string) => void> {
  let registration: TspClient | undefined;
  const { port } = await listenTsp(t, async client => {
    const { value } = await client.receive('PING');
    client.send({ type: 'PONG', value });
    registration?.send({ type: 'PONG', value });
  });
  const client = await connectTsp(t, trackerPort);
  registration = client;
  client.send({ type: 'HELLO', port, hello: { tsp: 1, broadcasts: false } });
  await client.receive('LIST');
  client.sendRows({ type: 'LIST_INFO', revision: 0 }, [{ hash: HASH, title: 'The song' }]);
  await client.await('WELCOME');
  return title => client.send({ type: 'UPDATE', changes: [{ hash: HASH as never, title }] });
}
