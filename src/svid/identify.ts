import { type FastifyRequest } from 'fastify'
import { ServiceError } from '../errors.ts'
import { type Entry } from '../registry/entry.ts'
import { type Caller, type Callers, connectionOf, workloadOf } from './caller.ts'
import { type IssueDeps } from './deps.ts'
import { admitBySvid } from './evidence.ts'

/** What it takes to know who asks on the workload listener. */
export interface IdentifyDeps {
  readonly deps: Pick<IssueDeps, 'limiter' | 'reader' | 'reattestAfterSeconds' | 'clock'>
  readonly callers: Callers
}

/**
 * The entry of a workload that asks with its X509-SVID, as fresh as renewal would have it; counts the request.
 *
 * Throws AUTHENTICATION_REQUIRED, SVID_INVALID, EVIDENCE_REFUSED, CONFLICT, RATE_LIMITED.
 */
export async function identifyWorkload(
  { deps, callers }: IdentifyDeps,
  request: FastifyRequest,
): Promise<Entry> {
  const caller = callerOf(request, callers)
  deps.limiter.takeForQuestion(workloadOf(caller))
  const { reader, reattestAfterSeconds, clock } = deps
  const admitted = await admitBySvid(caller, { reader, reattestAfterSeconds, now: clock.now() })
  return admitted.entry
}

/** Who is at the other end of a request; throws AUTHENTICATION_REQUIRED, SVID_INVALID. */
export function callerOf(request: FastifyRequest, callers: Callers): Caller {
  return requireCaller(callers.find(connectionOf(request)))
}

/** The caller, or the refusal of nobody; throws AUTHENTICATION_REQUIRED. */
export function requireCaller(caller: Caller | undefined): Caller {
  if (caller !== undefined) return caller
  throw new ServiceError('AUTHENTICATION_REQUIRED', 'there is no evidence of who is asking', {
    next: 'show an X509-SVID of this service as client certificate, or send a join token',
  })
}
