import { type ChangeContext, recordAudit } from '../audit/record.ts'
import type { MeshId } from '../db/ids.ts'
import type { Db } from '../db/schema.ts'
import { quoted, ServiceError } from '../errors.ts'
import {
  type Applied,
  type AppliedKey,
  type AppliedKind,
  type AppliedKinds,
  hexOf,
} from './applied-object.ts'
import * as store from './applied-store.ts'
import { allMeshes, findMesh, loadMesh } from './find-mesh.ts'

/** The kind `Mesh`: the mesh itself, told by the moment it was made. */
export const appliedMeshes: AppliedKind = async (db, meshId, names) => {
  const mesh = names.includes(meshId) ? await findMesh(db, meshId) : undefined
  return new Map(mesh === undefined ? [] : [[meshId, mesh.createdAt.toISOString()]])
}

/** A statement that somebody applied an object. */
export interface RecordApplied {
  readonly key: AppliedKey
  readonly owner: string
  readonly digest: Uint8Array
  readonly takeOver: boolean
  readonly context: ChangeContext
}

/**
 * Records who applied an object; the same statement again writes nothing.
 *
 * Throws NOT_FOUND without such a mesh, kind or object, and CONFLICT when another owner applied it and it is not
 * taken over.
 */
export async function recordApplied(
  trx: Db,
  meshId: MeshId,
  { stated, kinds }: { readonly stated: RecordApplied; readonly kinds: AppliedKinds },
): Promise<Applied> {
  const { key, owner, digest, takeOver, context } = stated
  await loadMesh(trx, meshId)
  const objectId = await identify(trx, meshId, { key, kinds })
  const found = await store.lockApplied(trx, meshId, key)
  const before = found?.objectId === objectId ? found : undefined
  if (before !== undefined && before.owner !== owner && !takeOver) throw ownedBy(before)
  if (before?.owner === owner && Buffer.from(before.digest).equals(digest)) return before
  const { kind, name } = key
  const after = { kind, name, objectId, owner, digest, appliedAt: context.now }
  await store.saveApplied(trx, meshId, after)
  const body = { owner, ownerBefore: before?.owner ?? null, digest: hexOf(digest) }
  await audit(trx, meshId, { key, context, action: 'applied.record', body })
  return after
}

/** Forgets who applied an object; the object stays. Throws NOT_FOUND. */
export async function forgetApplied(
  trx: Db,
  meshId: MeshId,
  { key, context }: { readonly key: AppliedKey; readonly context: ChangeContext },
): Promise<Applied> {
  await loadMesh(trx, meshId)
  const before = await store.lockApplied(trx, meshId, key)
  if (before === undefined) {
    throw new ServiceError(
      'NOT_FOUND',
      `nobody applied ${key.kind} ${quoted(key.name)} in mesh ${meshId}`,
    )
  }
  await store.deleteApplied(trx, meshId, { kind: key.kind, names: [key.name] })
  const body = { owner: before.owner, digest: hexOf(before.digest) }
  await audit(trx, meshId, { key, context, action: 'applied.forget', body })
  return before
}

/** Of what was applied, that of which the very object still exists. */
export async function onlyLiving(
  db: Db,
  meshId: MeshId,
  { applied, kinds }: { readonly applied: readonly Applied[]; readonly kinds: AppliedKinds },
): Promise<Applied[]> {
  const ids = new Map<string, ReadonlyMap<string, string>>()
  for (const [kind, find] of Object.entries(kinds)) {
    const names = applied.filter((one) => one.kind === kind).map(({ name }) => name)
    if (names.length > 0) ids.set(kind, await find(db, meshId, names))
  }
  return applied.filter(({ kind, name, objectId }) => ids.get(kind)?.get(name) === objectId)
}

/** Objects looked at in one statement. */
const BATCH = 500

/** Forgets who applied objects that are gone; answers how many. */
export async function pruneApplied(db: Db, kinds: AppliedKinds): Promise<number> {
  let pruned = 0
  for (const { meshId } of await allMeshes(db)) {
    let after: AppliedKey | undefined
    do {
      const applied = await store.listApplied(db, meshId, { after, limit: BATCH })
      const living = new Set(await onlyLiving(db, meshId, { applied, kinds }))
      for (const { kind, name } of applied.filter((one) => !living.has(one))) {
        pruned += await store.deleteApplied(db, meshId, { kind, names: [name] })
      }
      after = applied.length === BATCH ? applied.at(-1) : undefined
    } while (after !== undefined)
  }
  return pruned
}

async function identify(
  db: Db,
  meshId: MeshId,
  { key, kinds }: { readonly key: AppliedKey; readonly kinds: AppliedKinds },
): Promise<string> {
  const { kind, name } = key
  const find = Object.hasOwn(kinds, kind) ? kinds[kind] : undefined
  if (find === undefined) {
    const known = Object.keys(kinds).join(', ')
    throw new ServiceError('NOT_FOUND', `there is no kind ${quoted(kind)}, wanted one of ${known}`)
  }
  const id = (await find(db, meshId, [name])).get(name)
  if (id !== undefined) return id
  throw new ServiceError('NOT_FOUND', `mesh ${meshId} has no ${kind} ${quoted(name)}`)
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
