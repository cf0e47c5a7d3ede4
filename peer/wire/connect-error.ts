/**
 * Why a connection failed, in words that follow the other side's name, which whoever tells a person puts before them.
 */
import { RemoteProtocolError } from '../../protocol/errors.js';

/** `error`: Node's, of a socket. */
export function socketProblem(error: NodeJS.ErrnoException): string {
  const words: Readonly<Record<string, string>> = {
    ECONNREFUSED: 'refuses connections',
    ENOTFOUND: 'is no host that can be found',
    EAI_AGAIN: 'could not be looked up',
    EHOSTUNREACH: 'cannot be reached from here',
    ENETUNREACH: 'cannot be reached from here',
    ETIMEDOUT: 'does not answer',
    ECONNRESET: 'ended the connection',
    EPIPE: 'ended the connection',
    EMFILE: 'could not be dialled: too many files are open here',
    ENFILE: 'could not be dialled: too many files are open here',
  };
  return words[error.code ?? ''] ?? `failed: ${error.message}`;
}

/** As much of another protocol's greeting as tells which it is. */
const GREETING_CHARACTERS = 24;

/** Who broke the protocol before ever speaking it, with what came first as `opening`, is something else altogether. */
export function breachOf(error: RemoteProtocolError, opening: Buffer | undefined): RemoteProtocolError {
  const { code, message, type } = error;
  if (opening === undefined || code === 'too-slow')
    return new RemoteProtocolError(code, `does not speak TSP as it should: ${message}`, type);
  const [greeting = ''] = /^[ -~]*/.exec(opening.toString('latin1')) ?? [];
  const seen = greeting === '' ? '' : `: it says “${greeting.slice(0, GREETING_CHARACTERS).trim()}”`;
  return new RemoteProtocolError(code, `is no Torero tracker or host${seen}`, type);
}
