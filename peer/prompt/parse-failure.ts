/**
 * What could not be parsed, as an answer like any other: exit code 2.
 */
import { EXIT } from '../failures/failure.js';
import { type Answer, failed } from './answers.js';
import type { Parsed } from './grammar.js';

export const parseFailure = ({ message, hint }: Extract<Parsed, { is: 'problem' }>): Answer =>
  failed({ code: 'usage', exitCode: EXIT.usage, message, ...(hint !== undefined && { hint }) });
