/** How a peer says in HELLO and WELCOME that its songs can be had through swarms, and where (TSP §5.6). */
import { SWARM_FEATURE } from './constants.js';
import type { Hello } from './messages.js';

type SwarmFeature = Pick<Hello, 'features' | 'swarmPort'>;

/** Nothing without a port. */
export const swarmFeature = (swarmPort: number | undefined): SwarmFeature =>
  swarmPort === undefined ? {} : { features: [SWARM_FEATURE], swarmPort };

/** The UDP port that it says; undefined when it does not speak PPSPP. */
export const swarmPortOf = ({ features, swarmPort }: SwarmFeature): number | undefined =>
  features?.includes(SWARM_FEATURE) === true ? swarmPort : undefined;
