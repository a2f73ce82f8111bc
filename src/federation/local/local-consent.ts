import { type ChangeContext } from '../../audit/record.ts'
import { type MeshId } from '../../db/ids.ts'
import { lockMeshes } from '../../db/lock-meshes.ts'
import { type Consent, type Db } from '../../db/schema.ts'
import { primaryTrustDomain } from '../../mesh/find-mesh.ts'
import { type TrustDomain } from '../../spiffe/trust-domain.ts'
import {
  listCounterparts,
  listIntoOtherEnvironments,
  listMeshesOf,
  type NamedRelationship,
} from './local-store.ts'
import { type Relationship, type RelationshipDomain } from '../relationship.ts'
import { type StandingEvent } from '../standing.ts'
import { lockRelationshipById } from '../store.ts'

/** Takes one step of a relationship's standing; `change-standing.ts` hands it in. */
export type TakeStep = (
  trx: Db,
  relationship: Relationship,
  change: {
    readonly event: StandingEvent
    readonly context: ChangeContext
    readonly reason: string
  },
) => Promise<Relationship>

/** The relationships of a mesh, by name, with meshes of this service that have another environment than this one. */
export function relationshipsApart(
  db: Db,
  meshId: MeshId,
  environment: string,
): Promise<NamedRelationship[]> {
  return listIntoOtherEnvironments(db, meshId, environment)
}

/** Whether a side consents: what it withdrew, never gave or has ended is no consent. */
export function consents({
  ourConsent,
  state,
}: Pick<Relationship, 'ourConsent' | 'state'>): boolean {
  return ourConsent === 'given' && state !== 'terminated'
}

/** The consent of a mesh of this service to federate with us: given while it has a relationship that says so. */
async function consentOfLocalPeer(
  trx: Db,
  meshId: MeshId,
  trustDomains: readonly TrustDomain[],
): Promise<Extract<Consent, 'given' | 'pending'>> {
  const counterparts = await listCounterparts(trx, meshId, trustDomains)
  return counterparts.some(consents) ? 'given' : 'pending'
}

/**
 * The consent with which a new relationship that reads a peer's bundle here begins; undefined for one that does not.
 * A peer of this same service, whichever way it is read, is held until the transaction ends.
 */
export async function consentToBegin(
  trx: Db,
  meshId: MeshId,
  domains: readonly Pick<RelationshipDomain, 'trustDomain' | 'source'>[],
): Promise<Consent | undefined> {
  const names = domains.map(({ trustDomain }) => trustDomain)
  const peers = new Set((await listMeshesOf(trx, meshId, names)).values())
  if (peers.size > 0) await lockMeshes(trx, [meshId, ...peers])
  const isLocal = domains.some(({ source }) => source === 'local')
  return isLocal ? consentOfLocalPeer(trx, meshId, names) : undefined
}

/**
 * Makes the relationships that read our bundle here agree with our side, in the same transaction: what we gave, they
 * have; what we withdrew or ended, suspends them.
 */
export async function tellLocalPeers(
  trx: Db,
  { meshId, domains }: Relationship,
  { context, step }: { readonly context: ChangeContext; readonly step: TakeStep },
): Promise<void> {
  const names = domains.map(({ trustDomain }) => trustDomain)
  const counterparts = await listCounterparts(trx, meshId, names)
  const local = counterparts.filter(({ isLocal, state }) => isLocal && state !== 'terminated')
  if (local.length === 0) return
  await lockMeshes(trx, [meshId, ...local.map((counterpart) => counterpart.meshId)])
  const { name } = await primaryTrustDomain(trx, meshId)
  for (const counterpart of local) {
    const theirs = await lockRelationshipById(trx, counterpart.meshId, counterpart.id)
    const change = theirs === undefined ? undefined : await changeOf(trx, theirs)
    if (theirs === undefined || change === undefined) continue
    await step(trx, theirs, { ...change, context: { ...context, actor: `peer:${name}` } })
  }
}

async function changeOf(
  trx: Db,
  theirs: Relationship,
): Promise<{ readonly event: StandingEvent; readonly reason: string } | undefined> {
  const names = theirs.domains.map(({ trustDomain }) => trustDomain)
  const consent = await consentOfLocalPeer(trx, theirs.meshId, names)
  if (consent === theirs.theirConsent || theirs.state === 'terminated') return undefined
  if (consent === 'given') return { event: 'peer-consents', reason: 'the peer consented' }
  if (theirs.theirConsent !== 'given') return undefined
  return { event: 'peer-withdraws', reason: 'the peer withdrew its consent or ended' }
}
