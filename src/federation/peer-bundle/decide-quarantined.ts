import { type ChangeContext, recordAudit } from '../../audit/record.ts'
import { bumpChange } from '../../db/changes.ts'
import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { ServiceError } from '../../errors.ts'
import { type TrustDomain } from '../../spiffe/trust-domain.ts'
import { type ReadDocument, readDocument } from '../poll/accept-bundle.ts'
import { activateIfReady } from '../activate.ts'
import { diffBundles } from '../trust/bundle-diff.ts'
import { type BundleComparison, compareBundles } from '../trust/compare-bundles.ts'
import { domainKeyOf } from '../domain-key.ts'
import { lockRelationship } from '../find-relationship.ts'
import { decideRevision, findNewestRejected, findWaiting } from './quarantine-store.ts'
import { restartPoll } from '../poll/poll-store.ts'
import { recordTrust } from '../trust/record-trust.ts'
import { type Relationship } from '../relationship.ts'
import { type DomainKey, findCurrent, type PeerRevision, retireCurrent } from './revision-store.ts'

/** A person's decision on a document that a change policy held back. */
export interface Decision {
  readonly to: 'approve' | 'reject'
  readonly name: string
  readonly trustDomain: TrustDomain
  /** SHA-256 of the document as {@link readDocument} has it, lower-case hex: what the person looked at. */
  readonly digest: string
  readonly context: ChangeContext
  /** Throws PRECONDITION_FAILED. */
  readonly requireVersion: (version: bigint) => void
}

/** A decision that was carried out. */
export interface Decided {
  readonly relationship: Relationship
  readonly revision: PeerRevision
  /** The document against what was in force until now. */
  readonly comparison: BundleComparison
  readonly activated: boolean
}

/**
 * Approves or rejects the document that waits, in one transaction with its audit record and the diff.
 *
 * Approval puts exactly the stored bytes in the place of what is in use, read again by the rules of now, and makes a
 * pending relationship active that waited for nothing else. The newest document can also be approved after it was
 * rejected. Either way the next fetch is due at once and what one in flight brings is thrown away. Throws
 * NOT_FOUND, CONFLICT when nothing waits or the relationship is over, PRECONDITION_FAILED when another document waits.
 */
export async function decideQuarantined(
  trx: Db,
  meshId: MeshId,
  decision: Decision,
): Promise<Decided> {
  const { to, trustDomain, context } = decision
  const relationship = await lockRelationship(trx, meshId, decision.name)
  decision.requireVersion(relationship.version)
  const key = decidableKey(relationship, trustDomain)
  const revision = await candidate(trx, meshId, { key, to, relationship })
  requireDigest(revision, decision)
  const read = readAgain(revision, decision)
  const current = await findCurrent(trx, meshId, key)
  const before = current && readDocument(trustDomain, current.document).bundle
  const at = context.now
  if (to === 'approve') await retireCurrent(trx, meshId, { key, to: 'superseded', at })
  const state = to === 'approve' ? 'current' : 'rejected'
  await decideRevision(trx, meshId, { key, n: revision.n, to: state, by: context.actor, at })
  await restartPoll(trx, meshId, { key, now: at })
  await recordAudit(trx, {
    meshId,
    actor: context.actor,
    action: `peer-bundle.${to}`,
    object: `relationship/${relationship.name}/bundles/${trustDomain}`,
    at,
    body: {
      trustDomain,
      revision: revision.n,
      sequenceBefore: before?.sequence ?? null,
      sequence: read.bundle.sequence ?? null,
      digest: decision.digest,
      ...diffBundles(before, read.bundle),
      heldBackBecause: revision.reason ?? null,
      wasRejected: revision.disposition === 'rejected',
      verifiedBy: revision.verifiedBy,
    },
  })
  if (to === 'approve') {
    await recordTrust(trx, relationship, {
      event: 'peer-bundle.approve',
      actor: context.actor,
      at,
    })
  }
  const activated = to === 'approve' && (await activateIfReady(trx, relationship, context))
  await bumpChange(trx, meshId, 'relationship')
  const comparison = compareBundles(before, read.bundle)
  return { relationship, revision, comparison, activated }
}

function decidableKey(relationship: Relationship, trustDomain: TrustDomain): DomainKey {
  if (relationship.state === 'terminated') {
    throw new ServiceError(
      'CONFLICT',
      `relationship ${relationship.name} is terminated; none of its documents can be decided on`,
      { next: `entente federation delete ${relationship.name}` },
    )
  }
  return domainKeyOf(relationship, trustDomain)
}

async function candidate(
  trx: Db,
  meshId: MeshId,
  {
    key,
    to,
    relationship,
  }: Pick<Decision, 'to'> & { readonly key: DomainKey; readonly relationship: Relationship },
): Promise<PeerRevision> {
  const waiting = await findWaiting(trx, meshId, key)
  if (waiting !== undefined) return waiting
  const rejected = to === 'approve' ? await findNewestRejected(trx, meshId, key) : undefined
  if (rejected !== undefined) return rejected
  throw new ServiceError(
    'CONFLICT',
    `no document of ${key.trustDomain} waits for a decision in relationship ${relationship.name}`,
    { next: `entente federation show ${relationship.name}` },
  )
}

function requireDigest({ n, digest }: PeerRevision, decision: Decision): void {
  const found = Buffer.from(digest).toString('hex')
  if (found === decision.digest) return
  const target = `${decision.name} --trust-domain ${decision.trustDomain}`
  throw new ServiceError(
    'PRECONDITION_FAILED',
    `another document waits: you named digest ${decision.digest}, revision ${n} has ${found}`,
    { next: `look at what it changes: entente federation bundle diff ${target}` },
  )
}

function readAgain(revision: PeerRevision, { to, name, trustDomain }: Decision): ReadDocument {
  const read = readDocument(trustDomain, revision.document)
  if (to === 'reject' || Buffer.compare(read.digest, revision.digest) === 0) return read
  throw new ServiceError(
    'CONFLICT',
    `by the rules in force now other authorities of revision ${revision.n} count than when it was fetched`,
    { next: `fetch it again and look at the new one: entente federation refresh ${name}` },
  )
}
