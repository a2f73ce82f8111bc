import type { FastifyRequest } from 'fastify'
import { ServiceError, quoted } from '../errors.ts'

/** What a route makes of `If-Match`: needs it, needs it for more than a dry run, or minds it where it is sent. */
export type IfMatch = 'required' | 'unless-dry-run' | 'honoured'

/** How a route deals with versions, as its description says. */
export interface Versioning {
  /** Absent: `If-Match` is not looked at. */
  readonly ifMatch?: IfMatch
  /** Answers that tell an ETag, by status. */
  readonly etag?: readonly number[]
  /** 304 to whoever has that content already. */
  readonly ifNoneMatch?: boolean
}

declare module 'fastify' {
  interface FastifyContextConfig extends Versioning {}
}

/** The entity tag of a resource's version, as it is kept or as the wire has it (RFC 9110 §8.8.3). */
export function etagOf(version: bigint | string): string {
  return `"v${version}"`
}

/**
 * Refuses a change that was not made on the current version: PRECONDITION_REQUIRED without `If-Match` (428),
 * PRECONDITION_FAILED when it names another version (412). `*` means any.
 */
export function requireMatch(request: FastifyRequest, version: bigint | string): void {
  requireDescribed(request)
  const wanted = request.headers['if-match']
  const current = etagOf(version)
  if (wanted === undefined) {
    throw new ServiceError('PRECONDITION_REQUIRED', 'this change needs the header If-Match', {
      next: `read the object and send its ETag (now ${current}) as If-Match`,
    })
  }
  const tags = wanted.split(',').map((tag) => tag.trim())
  if (tags.includes('*') || tags.includes(current)) return
  throw new ServiceError(
    'PRECONDITION_FAILED',
    `the object changed meanwhile: If-Match is ${quoted(wanted)}, its version is ${current}`,
    { next: 'read the object again, look at what changed, and repeat the change on its new ETag' },
  )
}

/** {@link requireMatch} for a resource of single values: `If-Match` is honoured where it is sent and not demanded. */
export function matchIfSent(request: FastifyRequest): (version: bigint | string) => void {
  requireDescribed(request)
  return (version) => {
    if (request.headers['if-match'] !== undefined) requireMatch(request, version)
  }
}

/** The API's description is made of what routes say of themselves, so none may look at a header it does not name. */
function requireDescribed({ routeOptions }: FastifyRequest): void {
  if (routeOptions.config.ifMatch !== undefined) return
  throw new Error(
    `route ${String(routeOptions.url)} looks at If-Match and its config does not say so`,
  )
}
