/** What `swarm seed` and `swarm get` share: their socket, the addresses of `--peer`, and a tracker of swarms. */
import { lookup } from 'node:dns/promises';
import { TransportError } from '../../protocol/errors.js';
import { canonicalIp } from '../../protocol/ip.js';
import { SWARM_TRACKER_PORT } from '../../protocol/ppspp/constants.js';
import type { PeerAddress } from '../../protocol/ppspp/gate.js';
import type { HostPort } from '../../protocol/tsp/addresses.js';
import { failureOf, usageError } from '../failures/failure.js';
import { bothIn, listenError } from '../failures/listen-error.js';
import { checkDialled } from '../failures/one-link.js';
import { RateLimit } from '../hosting/rate-limit.js';
import type { ListenAt } from '../swarm/datagram-wire.js';
import type { NamedPeer } from '../swarm/neighbours.js';
import { SwarmNode } from '../swarm/swarm-node.js';
import { SwarmTrackerLink } from '../swarm/swarm-tracker-link.js';
import { TcpWire } from '../swarm/tcp-wire.js';
import { UdpWire } from '../swarm/udp-wire.js';
import { unlessAborted } from '../swarm/unless-aborted.js';
import type { OneShot } from './one-shot.js';
import type { SwarmArguments } from './swarm-arguments.js';
import type { SwarmProgress } from './swarm-progress.js';

/**
 * A name that nobody knows is said, and left out while another is known. Rejects with TransportError when none is, with CommandError
 * (usage) for an address that cannot be dialled, and when the signal comes.
 */
export async function addressesOf(session: OneShot, peers: readonly HostPort[]): Promise<NamedPeer[]> {
  for (const { host } of peers) checkDialled(host);
  const lookups = Promise.allSettled(peers.map(addressOf));
  const outcomes = await unlessAborted(lookups, session.world.signal);
  const known = outcomes.flatMap(outcome => (outcome.status === 'fulfilled' ? [outcome.value] : []));
  for (const outcome of outcomes) {
    if (outcome.status === 'fulfilled') continue;
    if (known.length === 0) throw outcome.reason;
    session.report(failureOf(outcome.reason));
  }
  return known;
}

async function addressOf({ host, port }: HostPort): Promise<NamedPeer> {
  try {
    const [first, ...others] = await lookup(host, { all: true });
    return {
      address: canonicalIp(first!.address),
      port,
      others: others.map(({ address }) => canonicalIp(address)),
    };
  } catch (error) {
    throw new TransportError(`${host}: nobody knows this name`, { cause: error });
  }
}

/** Listening; throws CommandError when it cannot. */
export async function openNode(
  { world, config }: OneShot,
  at: ListenAt,
  { tcp }: Pick<SwarmArguments, 'tcp'>,
): Promise<{ readonly node: SwarmNode; readonly at: PeerAddress }> {
  const node = new SwarmNode({
    ...world,
    wire: tcp ? new TcpWire(world.clock) : new UdpWire(),
    rate: new RateLimit(config.maxUploadBytesPerSecond, world.clock),
  });
  try {
    return { node, at: await node.start(at) };
  } catch (error) {
    throw listenError(error, at.host ?? '::', at.port, bothIn('--listen', at.port));
  }
}

/** Throws CommandError (usage) when there is nobody to be asked, and nobody will come. */
export function checkPeers({ config }: OneShot, { peers, listen }: SwarmArguments): void {
  if (peers.length === 0 && listen === undefined && config.tracker === undefined)
    throw usageError(
      'Whom to ask?',
      '--peer HOST:PORT names a peer, --tracker HOST:PORT who knows some; --listen PORT waits for some to come.',
    );
}

/**
 * What `--tracker` names, asked at once; undefined when it names nothing. `at`: where we are. That it is of no use is said, and
 * ends nothing; `progress` makes room.
 */
export function openTracker(
  session: OneShot,
  { port }: PeerAddress,
  progress?: Pick<SwarmProgress, 'clear'>,
): SwarmTrackerLink | undefined {
  const { world, config } = session;
  if (config.tracker === undefined) return undefined;
  const onTrouble = (why: TransportError): void => {
    progress?.clear();
    session.report({
      ...failureOf(why),
      hint: `It is tried again and again. A tracker of swarms is there by tsp-tracker --swarm-port ${SWARM_TRACKER_PORT}.`,
    });
  };
  const link = new SwarmTrackerLink({ ...world, tracker: config.tracker, port, onTrouble });
  link.start();
  return link;
}
