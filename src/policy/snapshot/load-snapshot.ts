import { offersNamed, offersOf, servicesNamed, servicesOf } from '../../catalog/find-services.ts'
import { type Offer, type Service } from '../../catalog/service.ts'
import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { relationshipsOf } from '../../federation/find-relationship.ts'
import { groupsOf } from '../../federation/group/peer-groups.ts'
import { loadMesh, trustDomainsOf } from '../../mesh/find-mesh.ts'
import { listChanges, readRevisions } from './change-log-store.ts'
import { type ChangedKeys, changedKeys, MAX_CHANGED } from './changed-keys.ts'
import { type Changed, nextSnapshot, type SnapshotChanges } from './next-snapshot.ts'
import {
  buildSnapshot,
  type PeersInput,
  type Revisions,
  serviceKey,
  type Snapshot,
  type SnapshotInput,
  type SnapshotOffer,
  type SnapshotService,
} from './snapshot.ts'
import { listRules } from '../rule/rule-store.ts'

/**
 * Loads everything that decisions of a mesh depend on; throws NOT_FOUND.
 *
 * `db` must be a transaction that sees one state (repeatable read), or one whose own changes are to count.
 */
export async function loadSnapshot(db: Db, meshId: MeshId): Promise<Snapshot> {
  return buildSnapshot({
    meshId,
    revisions: await readRevisions(db, meshId),
    ...(await loadMeshPart(db, meshId)),
    ...(await loadPeersPart(db, meshId)),
    services: (await servicesOf(db, meshId)).map(serviceIn),
    offers: (await offersOf(db, meshId)).map(offerIn),
    rules: await listRules(db, meshId, {}),
  })
}

/**
 * Loads what changed since a snapshot and derives the next one; everything when the log does not tell what changed.
 *
 * `db` as for {@link loadSnapshot}. Throws NOT_FOUND.
 */
export async function loadNextSnapshot(db: Db, previous: Snapshot): Promise<Snapshot> {
  const { meshId, revisions: before } = previous
  const revisions = await readRevisions(db, meshId)
  const keys = await loadChangedKeys(db, meshId, { before, revisions })
  if (keys === undefined) return loadSnapshot(db, meshId)
  const peers =
    revisions.relationship === before.relationship ? undefined : await loadPeersPart(db, meshId)
  const areNamesGone = peers !== undefined && hasLostNames(previous, peers)
  return nextSnapshot(previous, {
    revisions,
    ...(revisions.mesh !== before.mesh && { mesh: await loadMeshPart(db, meshId) }),
    ...(peers && { peers }),
    services: await loadServices(db, meshId, keys),
    offers: areNamesGone
      ? (await offersOf(db, meshId)).map(offerIn)
      : await loadOffers(db, meshId, keys),
    rules: areNamesGone ? await listRules(db, meshId, {}) : await loadRules(db, meshId, keys),
  })
}

async function loadChangedKeys(
  db: Db,
  meshId: MeshId,
  { before, revisions }: { readonly before: Revisions; readonly revisions: Revisions },
): Promise<ChangedKeys | undefined> {
  const range = { after: before.rule, upTo: revisions.rule }
  if (range.after === range.upTo) return { services: [], offers: [], rules: [] }
  return changedKeys(await listChanges(db, meshId, { ...range, limit: MAX_CHANGED + 1 }), range)
}

async function loadMeshPart(
  db: Db,
  meshId: MeshId,
): Promise<Pick<SnapshotInput, 'dnsSuffix' | 'trustDomains'>> {
  const { dnsSuffix } = await loadMesh(db, meshId)
  const domains = await trustDomainsOf(db, meshId)
  return { dnsSuffix, trustDomains: domains.map((domain) => domain.name) }
}

async function loadPeersPart(db: Db, meshId: MeshId): Promise<PeersInput> {
  return {
    relationships: await relationshipsOf(db, meshId),
    groups: await groupsOf(db, meshId),
  }
}

// Offers and rules hold names of relationships, rules those of groups too: one that goes or has another name
// changes them, unlogged.
function hasLostNames({ relationships, groups }: Snapshot, after: PeersInput): boolean {
  const ids = new Map(after.relationships.map(({ name, id }) => [name, id]))
  const names = new Set(after.groups.map(({ name }) => name))
  return (
    [...relationships.values()].some(({ name, id }) => ids.get(name) !== id) ||
    [...groups.keys()].some((name) => !names.has(name))
  )
}

async function loadServices(
  db: Db,
  meshId: MeshId,
  { services: names }: ChangedKeys,
): Promise<Changed<SnapshotService>> {
  const changed = new Map<string, SnapshotService | undefined>()
  for (const name of names) changed.set(serviceKey(name), undefined)
  for (const service of await servicesNamed(db, meshId, names)) {
    changed.set(serviceKey(service), serviceIn(service))
  }
  return changed
}

async function loadOffers(
  db: Db,
  meshId: MeshId,
  { offers: names }: ChangedKeys,
): Promise<Exclude<SnapshotChanges['offers'], readonly unknown[]>> {
  const changed = new Map<string, Map<string, SnapshotOffer | undefined>>()
  for (const { relationship } of names) changed.set(relationship, new Map())
  for (const name of names) changed.get(name.relationship)?.set(serviceKey(name), undefined)
  for (const offer of await offersNamed(db, meshId, names)) {
    changed.get(offer.relationship)?.set(serviceKey(offer), offerIn(offer))
  }
  return changed
}

async function loadRules(
  db: Db,
  meshId: MeshId,
  { rules: ids }: ChangedKeys,
): Promise<Exclude<SnapshotChanges['rules'], readonly unknown[]>> {
  const found = ids.length === 0 ? [] : await listRules(db, meshId, { ids })
  const byId = new Map(found.map((rule) => [rule.id, rule]))
  return new Map(ids.map((id) => [id, byId.get(id)]))
}

function serviceIn(service: Service): SnapshotService {
  return { ...service, serverIds: service.identities }
}

function offerIn(offer: Offer): SnapshotOffer {
  return { ...offer, serverIds: offer.identities }
}
