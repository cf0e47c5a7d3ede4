/**
 * Why a connection failed, in words: Node's error code is kept as the cause.
 */
import { RemoteProtocolError, TransportError } from '../../protocol/errors.js';

/** `name`: `host:port` of the other side. */
export function connectError(name: string, error: NodeJS.ErrnoException): TransportError {
  const words: Readonly<Record<string, string>> = {
    ECONNREFUSED: `nobody listens on ${name}`,
    ENOTFOUND: `${name}: there is no such host`,
    EAI_AGAIN: `${name}: the name could not be looked up`,
    EHOSTUNREACH: `${name} cannot be reached from here`,
    ENETUNREACH: `${name} cannot be reached from here`,
    ETIMEDOUT: `${name} does not answer`,
    ECONNRESET: `${name} ended the connection`,
    EPIPE: `${name} ended the connection`,
    EMFILE: `too many files are open here for a connection to ${name}`,
    ENFILE: `too many files are open here for a connection to ${name}`,
  };
  return new TransportError(words[error.code ?? ''] ?? `${name}: ${error.message}`, { cause: error });
}

/** As much of another protocol's greeting as tells which it is. */
const GREETING_CHARACTERS = 24;

/** What broke the protocol before it ever spoke it is something else altogether; all other errors come back as they are. */
export function noTsp(
  name: string,
  error: Error | undefined,
  opening: Buffer | undefined,
): Error | undefined {
  if (!(error instanceof RemoteProtocolError) || error.code === 'too-slow') return error;
  const [greeting = ''] = /^[ -~]*/.exec(opening?.toString('latin1') ?? '') ?? [];
  const seen = greeting === '' ? '' : `: it says “${greeting.slice(0, GREETING_CHARACTERS).trim()}”`;
  return new RemoteProtocolError(error.code, `${name} is no Torero tracker or host${seen}`, error.type);
}
