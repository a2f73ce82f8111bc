import type { Principal } from '../access/principal.ts'
import { isOwned, ownerScopeOf } from '../access/owner-scope.ts'
import { type ChangeContext, recordAudit } from '../audit/record.ts'
import type { MeshId } from '../db/ids.ts'
import type { Db } from '../db/schema.ts'
import { quoted, ServiceError } from '../errors.ts'
import {
  type Applied,
  type AppliedId,
  type AppliedKey,
  type AppliedKind,
  type AppliedKinds,
  type AppliedTarget,
  hexOf,
  wholeMesh,
} from './applied-object.ts'
import * as store from './applied-store.ts'
import { allMeshes, findMesh, loadMesh } from './find-mesh.ts'

/** The kind `Mesh`: the mesh itself, told by the moment it was made. */
export const appliedMeshes: AppliedKind = {
  read: 'mesh.read',
  write: () => 'mesh.update',
  end: () => 'mesh.delete',
  scopeOf: ownerScopeOf,
  find: wholeMesh(async (db, meshId, names) => {
    const mesh = names.includes(meshId) ? await findMesh(db, meshId) : undefined
    return new Map(mesh === undefined ? [] : [[meshId, mesh.createdAt.toISOString()]])
  }),
}

/** Who says what of applied objects, and what can be applied. */
export interface AppliedContext extends ChangeContext {
  readonly principal: Principal
  readonly kinds: AppliedKinds
}

/** A statement that somebody applied an object. */
export interface RecordApplied {
  readonly key: AppliedKey
  readonly owner: string
  readonly digest: Uint8Array
  readonly takeOver: boolean
}

/**
 * Records who applied an object; the same statement again writes nothing.
 *
 * An owner is a word that anybody may say, and pruning ends what is an owner's with the rights of whoever prunes. So
 * the record of an author who may change the object and not end it does not have it pruned, unless another author
 * recorded it for this owner before who may.
 *
 * Throws NOT_FOUND without such a mesh, kind or object, also where the object lies outside of the author's namespaces;
 * FORBIDDEN for a kind of which the author may change none; CONFLICT when another owner applied it and it is not taken
 * over, and when its name means several.
 */
export async function recordApplied(
  trx: Db,
  meshId: MeshId,
  { stated, context }: { readonly stated: RecordApplied; readonly context: AppliedContext },
): Promise<Applied> {
  const { key, owner, digest, takeOver } = stated
  await loadMesh(trx, meshId)
  const target = oneOf(meshId, key, await ownTargets(trx, meshId, { key, context }))
  const { objectId } = target
  const known = await store.lockApplied(trx, meshId, key)
  const before = known.find((one) => one.objectId === objectId)
  if (before !== undefined && before.owner !== owner && !takeOver) throw ownedBy(before)
  const own = known.find((one) => one.objectId === objectId && one.owner === owner)
  const prunable = own?.prunable === true || mayEnd(meshId, target, { key, context })
  if (own?.prunable === prunable && hexOf(own.digest) === hexOf(digest)) return own
  const after = { ...key, objectId, owner, digest, appliedAt: context.now, prunable }
  await store.saveApplied(trx, meshId, after)
  const body = { owner, ownerBefore: before?.owner ?? null, digest: hexOf(digest), prunable }
  await audit(trx, meshId, { key, context, action: 'applied.record', body })
  return after
}

/**
 * Forgets who applied an object; the object stays. Of a name that means several objects the record of the first goes.
 *
 * Throws NOT_FOUND, and FORBIDDEN as {@link recordApplied}.
 */
export async function forgetApplied(
  trx: Db,
  meshId: MeshId,
  { key, context }: { readonly key: AppliedKey; readonly context: AppliedContext },
): Promise<Applied> {
  await loadMesh(trx, meshId)
  const own = await ownTargets(trx, meshId, { key, context })
  const known = await store.lockApplied(trx, meshId, key)
  const living = own.flatMap(({ objectId }) => known.filter((one) => one.objectId === objectId))
  // What is gone lies nowhere any more, so it is for whoever may change all of the mesh.
  const [before] = ownerScope(meshId, key, context) === undefined ? [...living, ...known] : living
  if (before === undefined) {
    throw new ServiceError(
      'NOT_FOUND',
      `nobody applied ${key.kind} ${quoted(key.name)} in mesh ${meshId}`,
    )
  }
  await store.deleteApplied(trx, meshId, [before])
  const body = { owner: before.owner, digest: hexOf(before.digest) }
  await audit(trx, meshId, { key, context, action: 'applied.forget', body })
  return before
}

/** Which part of the list is wanted, and by whom. */
export interface SeenApplied {
  readonly page: Pick<store.AppliedPage, 'owner' | 'after' | 'limit'>
  readonly principal: Principal
  readonly kinds: AppliedKinds
}

/** Who applied what of the objects that exist and that are the reader's to see, by kind, name and object. */
export async function seenApplied(
  db: Db,
  meshId: MeshId,
  { page, principal, kinds }: SeenApplied,
): Promise<Applied[]> {
  const scopes = Object.entries(kinds).map(
    ([word, { read, scopeOf }]) => [word, scopeOf(principal, read, meshId)] as const,
  )
  const byKind = new Map(scopes)
  const open = scopes.filter(([, scope]) => scope?.length !== 0).map(([word]) => word)
  const found: Applied[] = []
  let after = page.after
  do {
    const rows = await store.listApplied(db, meshId, { ...page, after, kinds: open, limit: BATCH })
    const living = await livingOf(db, meshId, { applied: rows, kinds })
    for (const [row, { within }] of living) {
      if (isOwned(byKind.get(row.kind), within)) found.push(row)
    }
    after = rows.length === BATCH ? rows.at(-1) : undefined
  } while (after !== undefined && found.length < page.limit)
  return found.slice(0, page.limit)
}

/** Objects looked at in one statement. */
const BATCH = 500

/** Forgets who applied objects that are gone; answers how many. */
export async function pruneApplied(db: Db, kinds: AppliedKinds): Promise<number> {
  let pruned = 0
  for (const { meshId } of await allMeshes(db)) {
    let after: AppliedId | undefined
    do {
      const applied = await store.listApplied(db, meshId, { after, limit: BATCH })
      const living = await livingOf(db, meshId, { applied, kinds })
      const gone = applied.filter((one) => !living.has(one))
      await store.deleteApplied(db, meshId, gone)
      pruned += gone.length
      after = applied.length === BATCH ? applied.at(-1) : undefined
    } while (after !== undefined)
  }
  return pruned
}

/** Of what was applied, that of which the very object still exists, with that object; in the same order. */
async function livingOf(
  db: Db,
  meshId: MeshId,
  { applied, kinds }: { readonly applied: readonly Applied[]; readonly kinds: AppliedKinds },
): Promise<Map<Applied, AppliedTarget>> {
  const targets = new Map<string, AppliedTarget>()
  for (const [kind, { find }] of Object.entries(kinds)) {
    const names = new Set(applied.filter((one) => one.kind === kind).map(({ name }) => name))
    if (names.size === 0) continue
    for (const one of await find(db, meshId, [...names])) {
      targets.set(idOf({ kind, ...one }), one)
    }
  }
  return new Map(
    applied.flatMap((one) => {
      const target = targets.get(idOf(one))
      return target === undefined ? [] : [[one, target]]
    }),
  )
}

function idOf({ kind, name, objectId }: AppliedId): string {
  return JSON.stringify([kind, name, objectId])
}

interface Asked {
  readonly key: AppliedKey
  readonly context: AppliedContext
}

/** The objects of a name that the author may change. */
async function ownTargets(db: Db, meshId: MeshId, asked: Asked): Promise<AppliedTarget[]> {
  const { key, context } = asked
  const scope = ownerScope(meshId, key, context)
  const targets = await kindOf(key, context).find(db, meshId, [key.name])
  return targets.filter(({ name, within }) => name === key.name && isOwned(scope, within))
}

function mayEnd(meshId: MeshId, { within }: AppliedTarget, { key, context }: Asked): boolean {
  const { end, scopeOf } = kindOf(key, context)
  return isOwned(scopeOf(context.principal, end(key.name), meshId), within)
}

/** In which parts of the mesh the author may change objects of a kind; throws FORBIDDEN where in none. */
function ownerScope(meshId: MeshId, key: AppliedKey, context: AppliedContext) {
  const { write: writeOf, scopeOf } = kindOf(key, context)
  const write = writeOf(key.name)
  const scope = scopeOf(context.principal, write, meshId)
  if (scope?.length !== 0) return scope
  const { name } = context.principal
  throw new ServiceError(
    'FORBIDDEN',
    `who applies a ${key.kind} needs ${write} in mesh ${meshId}, which ${name} does not have`,
    { next: 'leave the document to an administrator, or ask for a grant: entente grant create' },
  )
}

function kindOf({ kind }: AppliedKey, { kinds }: AppliedContext): AppliedKind {
  const found = Object.hasOwn(kinds, kind) ? kinds[kind] : undefined
  if (found !== undefined) return found
  const known = Object.keys(kinds).join(', ')
  throw new ServiceError('NOT_FOUND', `there is no kind ${quoted(kind)}, wanted one of ${known}`)
}

/** As for any other call, a name means the object of the whole mesh, or the only one. */
function oneOf(
  meshId: MeshId,
  { kind, name }: AppliedKey,
  [first, another]: readonly AppliedTarget[],
): AppliedTarget {
  if (first === undefined) {
    throw new ServiceError('NOT_FOUND', `mesh ${meshId} has no ${kind} ${quoted(name)}`)
  }
  if (another === undefined || first.within.length === 0) return first
  throw new ServiceError('CONFLICT', `several namespaces have a ${kind} ${quoted(name)}`, {
    next: 'give it a name of its own, or apply it with a token for one of the namespaces',
  })
}

function ownedBy({ kind, name, owner }: Applied): ServiceError {
  return new ServiceError('CONFLICT', `${kind} ${name} was applied by owner ${quoted(owner)}`, {
    next: `apply it with --owner ${owner}, or take it over with --take-over`,
  })
}

interface Audited {
  readonly key: AppliedKey
  readonly context: ChangeContext
  readonly action: string
  readonly body: unknown
}

async function audit(trx: Db, meshId: MeshId, { key, context, action, body }: Audited) {
  const { actor, now: at } = context
  const object = `applied/${key.kind}/${key.name}`
  await recordAudit(trx, { meshId, actor, action, object, at, body })
}
