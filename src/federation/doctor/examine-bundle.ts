import { ServiceError } from '../../errors.ts'
import { type ReadDocument, readDocument } from '../poll/accept-bundle.ts'
import { type AuthorityFacts, factsOf } from '../trust/authority-facts.ts'
import { type DoctorStep, failed, ok, skipped, warning } from './doctor-step.ts'
import { type KeyDigests } from '../trust/effective-bundle.ts'
import { DEFAULT_HINT_SECONDS } from '../poll/next-poll.ts'
import { type RelationshipDomain } from '../relationship.ts'

/** A document and what it is held against. */
export interface BundleExam {
  readonly relationship: string
  readonly domain: Pick<RelationshipDomain, 'trustDomain'>
  readonly document: Uint8Array
  /** The newest sequence that was fetched before; undefined without one. */
  readonly stored: bigint | undefined
  readonly distrusted: KeyDigests
  /** What storing it would lead to; absent for a document that is stored already. */
  readonly verdict?:
    | { readonly error: ServiceError }
    | { readonly warnings: readonly string[]; readonly isHeld: boolean }
    | undefined
  readonly now: Date
}

/** Authorities shown one by one. */
const MOST_SHOWN = 20

/** What a document is worth: shape, each authority, sequence and hint. */
export function examineBundle(exam: BundleExam): DoctorStep[] {
  const read = readOrFault(exam)
  if (read instanceof ServiceError) {
    return [
      failed('document', read.message, 'ask the peer what its endpoint serves'),
      ...notReached('authority', 'sequence', 'hint'),
    ]
  }
  return [
    documentStep(read),
    ...authoritySteps(read, exam),
    sequenceStep(read, exam),
    hintStep(read),
  ]
}

/** Steps that an earlier failure leaves no way to look at. */
export function notReached(...steps: readonly DoctorStep['step'][]): DoctorStep[] {
  return steps.map((step) => skipped(step, 'not reached'))
}

function readOrFault({ domain, document }: BundleExam): ReadDocument | ServiceError {
  try {
    return readDocument(domain.trustDomain, document)
  } catch (error) {
    if (error instanceof ServiceError) return error
    throw error
  }
}

function documentStep({ bundle, skipped: odd, document }: ReadDocument): DoctorStep {
  const { x509Authorities: x509, jwtAuthorities: jwt } = bundle
  const detail = `${document.length} bytes, ${x509.length} X.509 and ${jwt.length} JWT authorities`
  if (x509.length + jwt.length === 0) {
    return warning('document', `${detail}: the peer withdraws all its trust`)
  }
  const [first] = odd
  if (first === undefined) return ok('document', detail)
  return warning('document', `${detail}; ${odd.length} entries skipped, the first ${first.reason}`)
}

function authoritySteps({ bundle }: ReadDocument, exam: BundleExam): DoctorStep[] {
  const facts = factsOf(bundle)
  const steps = facts.slice(0, MOST_SHOWN).map((one) => authorityStep(one, exam))
  if (facts.length <= MOST_SHOWN) return steps
  return [...steps, skipped('authority', `and ${facts.length - MOST_SHOWN} more`)]
}

function authorityStep(facts: AuthorityFacts, { distrusted, now }: BundleExam): DoctorStep {
  const { kind, publicKeySha256: key, notBefore, notAfter } = facts
  const name = `${kind} ${facts.subject ?? facts.kid ?? ''}`
  const life =
    notBefore === undefined || notAfter === undefined
      ? ''
      : `, ${notBefore.toISOString()} to ${notAfter.toISOString()}`
  const detail = `${name}, key sha256:${key}${life}`
  if (distrusted.has(key)) {
    return warning(
      'authority',
      `${detail}: distrusted here, not used`,
      `entente federation distrust lift ${key}`,
    )
  }
  if (notBefore === undefined || notAfter === undefined) return ok('authority', detail)
  if (notAfter < now) return warning('authority', `${detail}: it has expired`)
  if (notBefore > now) return warning('authority', `${detail}: it is not valid yet`)
  return isEnding(notBefore, notAfter, now)
    ? warning(
        'authority',
        `${detail}: it ends soon`,
        'ask the peer whether a successor is on its way',
      )
    : ok('authority', detail)
}

/** In the last sixth of its life a successor should be in the bundle already. */
function isEnding(notBefore: Date, notAfter: Date, now: Date): boolean {
  const lifeMs = notAfter.getTime() - notBefore.getTime()
  return notAfter.getTime() - now.getTime() < lifeMs / 6
}

function sequenceStep({ bundle }: ReadDocument, exam: BundleExam): DoctorStep {
  const { verdict, stored, relationship } = exam
  const shown = bundle.sequence === undefined ? 'none' : String(bundle.sequence)
  const before = stored === undefined ? 'nothing fetched before' : `the newest fetched is ${stored}`
  if (verdict !== undefined && 'error' in verdict) {
    return failed('sequence', verdict.error.message, verdict.error.next)
  }
  if (verdict?.isHeld === true) {
    return warning(
      'sequence',
      `${shown}, ${before}; ${verdict.warnings.join('; ')}`.slice(0, 1000),
      `entente federation bundle diff ${relationship}`,
    )
  }
  const [first] = verdict?.warnings ?? []
  if (first !== undefined) return warning('sequence', `${shown}, ${before}; ${first}`)
  return ok('sequence', `${shown}, ${before}`)
}

function hintStep({ bundle }: ReadDocument): DoctorStep {
  const { refreshHintSeconds: hint } = bundle
  return hint === undefined
    ? warning('hint', `none; it is polled every ${DEFAULT_HINT_SECONDS} s`)
    : ok('hint', `${hint} s`)
}
