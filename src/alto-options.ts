/** The options that name an ALTO server (RFC 7285), for songs and for `tsp-peer swarm`. */
import type { AltoCostType, AltoRankingOptions } from '../peer/swarm/alto-ranking.js';
import { single } from './common-options.js';
import type { Values } from './options.js';
import { httpUrl, orNone, type ValueType } from './value-types.js';

const NETWORK = 'Network:';

const altoCostType: ValueType<AltoCostType> = {
  valueName: 'MODE:METRIC',
  expected: 'MODE:METRIC, such as numerical:routingcost or ordinal:hopcount',
  parse(text) {
    const [, mode, metric] = /^(numerical|ordinal):([\w:.-]{1,32})$/.exec(text) ?? [];
    return metric === undefined ? undefined : { mode: mode as AltoCostType['mode'], metric };
  },
  show: ({ mode, metric }) => `${mode}:${metric}`,
};

export const altoOptions = {
  alto: single(
    orNone(httpUrl),
    undefined,
    NETWORK,
    'The endpoint cost service of an ALTO server, for whom to ask first',
  ),
  'alto-cost-type': single<AltoCostType>(
    altoCostType,
    { mode: 'numerical', metric: 'routingcost' },
    NETWORK,
    'What that server is to count',
  ),
};

export type AltoValues = Values<typeof altoOptions>;

/** As a peer and `tsp-peer swarm` take it. */
export const altoOf = (
  values: AltoValues,
): { readonly alto?: Pick<AltoRankingOptions, 'url' | 'costType'> } =>
  values.alto === undefined ? {} : { alto: { url: values.alto, costType: values['alto-cost-type'] } };
