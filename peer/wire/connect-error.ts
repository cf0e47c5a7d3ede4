/**
 * Why a connection failed, in words: Node's error code is kept as the cause.
 */
import { TransportError } from '../../protocol/errors.js';

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
  };
  return new TransportError(words[error.code ?? ''] ?? `${name}: ${error.message}`, { cause: error });
}
