import { isOwned, type OwnerScope, requireOwned } from '../access/owner-scope.ts'
import { namespaceOfId } from '../access/quota/quota.ts'
import { requireQuota } from '../access/quota/require-quota.ts'
import { type ChangeContext, recordAudit } from '../audit/record.ts'
import { bumpChange } from '../db/changes.ts'
import { isForeignKeyViolation, isUniqueViolation } from '../db/failures.ts'
import { isId, type MeshId, newId } from '../db/ids.ts'
import { type Db } from '../db/schema.ts'
import { forgetReporter, type Reporter } from '../catalog/endpoint-reporter.ts'
import { quoted, ServiceError } from '../errors.ts'
import { holdPeerGroup } from '../federation/group/peer-groups.ts'
import { clustersOf, loadMesh, trustDomainsOf } from '../mesh/find-mesh.ts'
import {
  type Entry,
  type EntryContent,
  type EntryDraft,
  entryFault,
  entryObject,
  type EntryOwner,
  groupOf,
  parseEntryContent,
  parseEntryId,
} from './entry.ts'
import * as store from './entry-store.ts'
import { countUsable } from './token-store.ts'

/** Who changes entries, when, and of which clusters; undefined = all, and those tied to none. */
export interface EntryContext extends ChangeContext {
  readonly ownerClusters?: OwnerScope
}

/**
 * Makes an entry in the caller's transaction; it yields nothing until a join token of it is used.
 *
 * Throws NOT_FOUND, ENTRY_INVALID, ALREADY_EXISTS, FORBIDDEN outside its author's clusters, QUOTA_EXCEEDED.
 */
export async function createEntry(
  trx: Db,
  meshId: MeshId,
  { draft, context }: { readonly draft: EntryDraft; readonly context: EntryContext },
): Promise<Entry> {
  const owner = await ownerOf(trx, meshId, context)
  const entry: Entry = {
    meshId,
    id: newId(),
    ...parseEntryId(draft.spiffeId, owner),
    ...parseEntryContent(draft, owner),
    version: 1n,
    createdAt: context.now,
  }
  requireOwnEntry(entry, context)
  await requireRoom(trx, entry)
  await checkGroup(trx, entry)
  await insertNamed(trx, meshId, entry)
  await settle(trx, entry, { context, action: 'entry.create', body: auditedEntry(entry) })
  return entry
}

/** What a change of an entry needs. */
export interface EntryChange {
  readonly id: string
  readonly change: Omit<EntryDraft, 'spiffeId'>
  readonly context: EntryContext
  /** Refuses when the caller did not see the version that is there. */
  readonly requireVersion: (version: bigint) => void
}

/**
 * Changes what an entry yields from the next SVID on, in the caller's transaction; what was issued stays as it is.
 *
 * Throws NOT_FOUND, ENTRY_INVALID, PRECONDITION_FAILED.
 */
export async function changeEntry(
  trx: Db,
  meshId: MeshId,
  { id, change, context, requireVersion }: EntryChange,
): Promise<Entry> {
  const owner = await ownerOf(trx, meshId, context)
  const before = await lockedEntry(trx, meshId, { id, context })
  requireVersion(before.version)
  const content = parseEntryContent({ ...before, ...change }, owner)
  const after = { ...before, ...content, version: before.version + 1n }
  requireOwnEntry(after, context)
  await checkGroup(trx, after)
  await updateNamed(trx, meshId, after)
  const moved = before.cluster !== after.cluster
  if (moved) await forgetReporter(trx, meshId, reporterOf(before))
  const body = { before: auditedEntry(before), after: auditedEntry(after) }
  await settle(trx, after, { context, action: 'entry.update', body })
  return after
}

/** What ends with an entry. */
export interface EndedEntry {
  readonly entry: Entry
  /** SVIDs that stay valid until they end; none of them can be renewed. */
  readonly livingSvids: number
  /** Join tokens that can be used no more. */
  readonly unusedTokens: number
  /** Endpoints that its holder reported; they go with it. */
  readonly reportedEndpoints: number
}

/** Deletes an entry with its join tokens, in the caller's transaction; throws NOT_FOUND, PRECONDITION_FAILED. */
export async function deleteEntry(
  trx: Db,
  meshId: MeshId,
  { id, context, requireVersion }: Omit<EntryChange, 'change'>,
): Promise<EndedEntry> {
  await loadMesh(trx, meshId)
  const entry = await lockedEntry(trx, meshId, { id, context })
  requireVersion(entry.version)
  const of = { entryId: entry.id, now: context.now }
  const livingSvids = await store.countLivingSvids(trx, meshId, of)
  const unusedTokens = await countUsable(trx, meshId, of)
  const reportedEndpoints = await forgetReporter(trx, meshId, reporterOf(entry))
  await store.deleteEntry(trx, meshId, entry.id)
  const body = { ...auditedEntry(entry), livingSvids, unusedTokens, reportedEndpoints }
  await settle(trx, entry, { context, action: 'entry.delete', body })
  return { entry, livingSvids, unusedTokens, reportedEndpoints }
}

/** The entry with this id, if it is tied to one of the reader's clusters; throws NOT_FOUND. */
export async function loadEntry(
  db: Db,
  meshId: MeshId,
  { id, ownerClusters }: { readonly id: string; readonly ownerClusters: OwnerScope },
): Promise<Entry> {
  const entry = await store.findEntry(db, meshId, await idOf(db, meshId, id))
  if (entry === undefined || !isOwned(ownerClusters, clustersIn(entry)))
    throw noSuchEntry(meshId, id)
  return entry
}

/** The mesh that an entry of it must fit; throws NOT_FOUND. */
export async function ownerOf(
  db: Db,
  meshId: MeshId,
  { now }: Pick<ChangeContext, 'now'>,
): Promise<EntryOwner> {
  const { settings } = await loadMesh(db, meshId)
  const trustDomains = await trustDomainsOf(db, meshId)
  const clusters = new Set((await clustersOf(db, meshId)).map(({ name }) => name))
  return { meshId, settings, now, trustDomains, clusters }
}

/** The id of the entry that a text names by its id, its SPIFFE ID or the path of it; throws NOT_FOUND, ENTRY_INVALID. */
async function idOf(db: Db, meshId: MeshId, text: string): Promise<string> {
  if (isId(text)) return text
  const trustDomains = await trustDomainsOf(db, meshId)
  const { spiffeId } = parseEntryId(text, { meshId, trustDomains })
  const entry = await store.findEntryBySpiffeId(db, meshId, spiffeId)
  if (entry === undefined) throw noSuchEntry(meshId, text)
  return entry.id
}

function noSuchEntry(meshId: MeshId, id: string): ServiceError {
  return new ServiceError('NOT_FOUND', `mesh ${meshId} has no entry ${quoted(id)}`, {
    next: 'entente entry list',
  })
}

/** Where an entry lies, for the administrators of clusters; one that is tied to none is the mesh's. */
export function clustersIn({ cluster }: Pick<Entry, 'cluster'>): readonly string[] {
  return cluster === undefined ? [] : [cluster]
}

function requireOwnEntry(entry: Entry, { ownerClusters }: EntryContext): void {
  requireOwned(ownerClusters, {
    title: `an entry for ${entry.spiffeId}, unless it is tied to your cluster,`,
    within: clustersIn(entry),
  })
}

async function requireRoom(trx: Db, { meshId, spiffeId }: Entry): Promise<void> {
  const namespace = namespaceOfId(spiffeId)
  const namespaces = namespace === undefined ? [] : [namespace]
  await requireQuota(trx, meshId, { kind: 'entries', namespaces })
}

async function lockedEntry(
  trx: Db,
  meshId: MeshId,
  { id, context }: { readonly id: string; readonly context: EntryContext },
): Promise<Entry> {
  const entry = await store.lockEntry(trx, meshId, await idOf(trx, meshId, id))
  if (entry === undefined || !isOwned(context.ownerClusters, clustersIn(entry))) {
    throw noSuchEntry(meshId, id)
  }
  return entry
}

/** The group stays at least until the entry that names it is stored. */
async function checkGroup(trx: Db, entry: Entry): Promise<void> {
  const group = groupOf(entry)
  if (group === undefined || (await holdPeerGroup(trx, entry.meshId, group))) return
  throw entryFault('/federatesWith/group', `this mesh has no peer group ${quoted(group)}`)
}

async function insertNamed(trx: Db, meshId: MeshId, entry: Entry): Promise<void> {
  try {
    await store.insertEntry(trx, meshId, entry)
  } catch (cause) {
    if (isForeignKeyViolation(cause)) throw clusterGone(entry, cause)
    if (!isUniqueViolation(cause)) throw cause
    throw new ServiceError('ALREADY_EXISTS', `${quoted(entry.spiffeId)} has an entry already`, {
      cause,
      // The same whoever has it: a reader of some clusters learns no more than that it is taken.
      next: 'a SPIFFE ID has one entry in its mesh; yours are shown by: entente entry list',
    })
  }
}

async function updateNamed(trx: Db, meshId: MeshId, entry: Entry): Promise<void> {
  try {
    await store.updateEntry(trx, meshId, entry)
  } catch (cause) {
    throw isForeignKeyViolation(cause) ? clusterGone(entry, cause) : cause
  }
}

/** The checks before have seen the mesh, its trust domain and the cluster, so one of them went meanwhile. */
function clusterGone({ cluster }: Entry, cause: unknown): unknown {
  if (cluster === undefined) return cause
  return entryFault('/cluster', `cluster ${quoted(cluster)} was deleted meanwhile`)
}

/** Whose reports go with an entry, or when it is tied to another cluster. */
function reporterOf({ spiffeId, cluster }: Entry): Reporter {
  return { reporter: spiffeId, cluster }
}

interface Settlement {
  readonly context: EntryContext
  readonly action: string
  readonly body: unknown
}

async function settle(trx: Db, entry: Entry, { context, action, body }: Settlement): Promise<void> {
  const { meshId } = entry
  await recordAudit(trx, {
    meshId,
    at: context.now,
    actor: context.actor,
    action,
    object: entryObject(entry),
    body,
  })
  await bumpChange(trx, meshId, 'entry')
}

function auditedEntry(entry: Entry): { readonly id: string } & EntryContent {
  const { id, x509TtlSeconds, jwtTtlSeconds, dnsNames, federatesWith } = entry
  const { hint, cluster, expiresAt } = entry
  return { id, x509TtlSeconds, jwtTtlSeconds, dnsNames, federatesWith, hint, cluster, expiresAt }
}
