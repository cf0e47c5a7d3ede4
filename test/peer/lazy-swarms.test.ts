/** Swarms that open late: what a peer says of them is so, whenever their port can be had. */
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import t from 'tap';
import { RateLimit } from '../../peer/hosting/rate-limit.js';
import { UploadSlots } from '../../peer/hosting/slots.js';
import { LazySwarms } from '../../peer/lazy-swarms.js';
import { Chance } from '../simulation/chance.js';
import { SwarmContent, SwarmDisk } from '../simulation/swarm/swarm-content.js';
import { patientClock } from '../support/patient-clock.js';
import { RecordingLogger } from '../support/recording-logger.js';

t.test('a port that was taken when hosting began is announced once it could be had', async t => {
  const taken = createSocket('udp4').bind(0, '127.0.0.1');
  await once(taken, 'listening');
  const { port } = taken.address();
  const logger = new RecordingLogger();
  const chance = new Chance(11);
  const swarms = new LazySwarms(
    { swarmPort: port, serve: true },
    { clock: patientClock, logger, randomBytes, randomUnit: chance.unit },
  );
  t.teardown(() => swarms.stop());
  const announced: number[] = [];
  const uploads = {
    slots: new UploadSlots(1),
    rate: new RateLimit(1_000, patientClock),
    sent: () => {},
    read: () => Promise.reject(new Error('nobody asks')),
  };
  const songs = { get: () => undefined, songs: () => [] };

  await swarms.host({ uploads, offersSwarms: at => announced.push(at) }, songs, {
    address: '127.0.0.1',
    port,
  });
  t.same(announced, [], 'it is not announced');
  t.equal(swarms.hostingPort, undefined);
  t.same(logger.messages('warn'), ['songs cannot be given through swarms']);

  taken.close();
  await once(taken, 'close');
  const disk = new SwarmDisk(new SwarmContent(chance, 3), { isWhole: true, isSizeKnown: true });
  await swarms.joinFeed({ swarm: disk.swarm, store: disk });
  t.same(announced, [port], 'it is announced with the first that joins');
  t.equal(swarms.hostingPort, port);
});
