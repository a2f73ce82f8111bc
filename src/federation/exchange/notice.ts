import { type NoticeKind } from '../../db/schema.ts'
import { ServiceError } from '../../errors.ts'
import { isJsonObject, parseJson } from '../../spiffe/json.ts'
import { parseTrustDomain, type TrustDomain } from '../../spiffe/trust-domain.ts'

/** Largest notice that is read, in bytes; also the largest body of any peer call. */
export const MAX_PEER_BODY = 64 * 1024

/** What notices are about. */
export const NOTICE_KINDS = [
  'bundle',
  'relationship',
  'proposal',
  'termination',
] as const satisfies readonly NoticeKind[]

const MAX_REASON = 500

/**
 * Word that something changed at its sender; it carries no keys and is only a reason to look now.
 *
 * `termination` alone is believed when it can be verified: its sender has forgotten our keys with the relationship
 * and could not answer a question. It takes trust away and never gives any.
 */
export interface Notice {
  readonly kind: NoticeKind
  /** Of the sender. */
  readonly trustDomain: TrustDomain
  /** Of that domain's bundle; with `bundle` only. */
  readonly sequence: bigint | undefined
  /** For people; with `termination` only. */
  readonly reason: string | undefined
}

/** The body of a notice. */
export function writeNotice({ kind, trustDomain, sequence, reason }: Notice): Uint8Array {
  const body = {
    kind,
    trustDomain,
    ...(sequence === undefined ? {} : { sequence: sequence.toString() }),
    ...(reason === undefined ? {} : { reason: reason.slice(0, MAX_REASON) }),
  }
  return new TextEncoder().encode(JSON.stringify(body))
}

/** Reads a notice; members that we do not know are passed over. Throws INVALID_REQUEST, JSON_INVALID. */
export function readNotice(bytes: Uint8Array): Notice {
  const object = parseJson(bytes, { maxBytes: MAX_PEER_BODY, maxDepth: 4 })
  if (!isJsonObject(object)) throw invalid('is no JSON object')
  const kind = NOTICE_KINDS.find((known) => known === object.get('kind'))
  if (kind === undefined) throw invalid(`kind is none of ${NOTICE_KINDS.join(', ')}`)
  const name = object.get('trustDomain')
  if (typeof name !== 'string') throw invalid('trustDomain is missing')
  const sequence = object.get('sequence')
  if (sequence !== undefined && (typeof sequence !== 'string' || !/^\d{1,20}$/.test(sequence))) {
    throw invalid('sequence is no decimal text')
  }
  const reason = object.get('reason')
  return {
    kind,
    trustDomain: parseTrustDomain(name),
    sequence: sequence === undefined ? undefined : BigInt(sequence),
    reason: typeof reason === 'string' ? printable(reason.slice(0, MAX_REASON)) : undefined,
  }
}

/** A peer's words as they may be stored and shown: no control characters, no direction marks. */
function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}]/gu, ' ').toWellFormed()
}

function invalid(what: string): ServiceError {
  return new ServiceError('INVALID_REQUEST', `notice: ${what}`)
}
