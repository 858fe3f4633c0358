// What can go wrong between here and a model hub.
import { DataError, VitlabError } from '../errors.js';

/** A hub that refuses or cannot be reached, or a repository that is not what was expected. */
export class HubError extends VitlabError {
  /** @param status the HTTP status that the hub answered with */
  constructor(
    message: string,
    readonly status?: number,
    options?: { cause?: unknown },
  ) {
    super(message, options);
  }
}

/** The error to tell of one that a request for `what` (a repository, a file of one) has thrown. */
export function hubError(what: string, endpoint: string, cause: unknown): HubError {
  if (cause instanceof HubError) return cause;
  if (cause instanceof DataError) return new HubError(cause.message, undefined, { cause });
  const status = (cause as { statusCode?: number }).statusCode;
  if (status === undefined) {
    const { message, cause: inner } = cause as Error;
    const reason = inner instanceof Error && inner.message ? `${message} (${inner.message})` : message;
    return new HubError(
      `${endpoint} cannot be asked for ${what}: ${reason}. Without a network, VITLAB_OFFLINE=1 uses what was downloaded before.`,
      undefined,
      { cause },
    );
  }
  return new HubError(`${endpoint} answers ${status} for ${what}. ${advice(status)}`, status, { cause });
}

function advice(status: number): string {
  if (status === 401)
    return 'The repository is gated, private or does not exist: check its name, and set HF_TOKEN to a token that may read it.';
  if (status === 403) return 'Ask for access on the page of the repository; HF_TOKEN must be a token that may read it.';
  if (status === 404) return 'Check the name of the repository and the revision.';
  return status === 429 ? 'Too many requests: wait some minutes.' : 'Try again later.';
}
