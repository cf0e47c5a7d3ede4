/** The peers that `swarm seed` and `swarm get` are told of: names that nobody knows among them, real look-ups. */
import t from 'tap';
import { OneShot } from '../../../peer/commands/one-shot.js';
import { addressesOf } from '../../../peer/commands/swarm-peers.js';
import { TransportError } from '../../../protocol/errors.js';
import { configIn, TestWorld } from './test-world.js';

const HERE = { host: '127.0.0.1', port: 6778 };
const NOWHERE = { host: 'no-such-host.invalid', port: 6778 };

t.test('a name that nobody knows is said, and the others are asked', async t => {
  const world = new TestWorld();
  const session = new OneShot(configIn('/nowhere'), world);
  t.same(await addressesOf(session, [NOWHERE, HERE]), [{ address: HERE.host, port: HERE.port, others: [] }]);
  t.equal(world.stderr.text, 'tsp-peer: no-such-host.invalid: nobody knows this name.\n');
});

t.test('it is the end where none is known, but not where none is named', async t => {
  const world = new TestWorld();
  const session = new OneShot(configIn('/nowhere'), world);
  await t.rejects(addressesOf(session, [NOWHERE]), TransportError);
  t.same(await addressesOf(session, []), []);
  t.equal(world.stderr.text, '');
});
