import { type ChangeContext, recordAudit } from '../audit/record.ts'
import { bumpChange } from '../db/changes.ts'
import { type MeshId, isLabel, newId } from '../db/ids.ts'
import type { Db } from '../db/schema.ts'
import { quoted, ServiceError } from '../errors.ts'
import { lockTrustDomain } from '../mesh/find-mesh.ts'
import type { TrustDomain } from '../spiffe/trust-domain.ts'
import type { Reader } from './reader.ts'
import { writeReaderRef } from './reader-ref.ts'
import * as store from './reader-store.ts'

/** Somebody who is to get a bundle URL of its own. */
export interface NewReader {
  readonly trustDomain: TrustDomain
  /** A DNS label, unique among the readers of the trust domain. */
  readonly label: string
  /** The relationship that it belongs to; absent for one made by hand. */
  readonly relationshipId?: string | undefined
  readonly context: ChangeContext
}

/**
 * Makes a reader of our bundle in the caller's transaction.
 *
 * Throws INVALID_REQUEST for a label that is none, ALREADY_EXISTS when it is taken, NOT_FOUND without such a
 * trust domain.
 */
export async function createReader(trx: Db, meshId: MeshId, wanted: NewReader): Promise<Reader> {
  const { trustDomain, label, context } = wanted
  if (!isLabel(label)) {
    throw new ServiceError('INVALID_REQUEST', `reader label ${quoted(label)} must be a DNS label`)
  }
  await lockTrustDomain(trx, meshId, trustDomain)
  if ((await store.findReader(trx, meshId, { trustDomain, label })) !== undefined) {
    throw new ServiceError(
      'ALREADY_EXISTS',
      `the bundle of ${trustDomain} has a reader ${quoted(label)} already`,
      { next: 'entente bundle reader list' },
    )
  }
  const reader: Reader = {
    meshId,
    trustDomain,
    label,
    id: newId(),
    kind: wanted.relationshipId === undefined ? 'manual' : 'relationship',
    relationshipId: wanted.relationshipId,
    firstAt: undefined,
    lastAt: undefined,
    fetches: 0n,
    sequence: undefined,
    sources: [],
    lastHost: undefined,
    createdAt: context.now,
  }
  await store.insertReader(trx, reader)
  await audit(trx, reader, { context, action: 'bundle-reader.create' })
  await bumpChange(trx, meshId, 'bundle')
  return reader
}

/** Makes a reader that was given away beforehand that of a relationship; its URL stays. */
export async function assignReader(
  trx: Db,
  meshId: MeshId,
  reader: Pick<Reader, 'trustDomain' | 'id'> & { readonly relationshipId: string },
): Promise<void> {
  await store.setRelationship(trx, meshId, reader)
  await bumpChange(trx, meshId, 'bundle')
}

/** The readers of our bundles that a relationship has, by trust domain. */
export async function readersOfRelationship(
  db: Db,
  meshId: MeshId,
  relationshipId: string,
): Promise<Reader[]> {
  return store.listOfRelationship(db, meshId, relationshipId)
}

/** All readers of a mesh's bundles, by trust domain and label. */
export async function readersOfMesh(db: Db, meshId: MeshId): Promise<Reader[]> {
  return store.listOfMesh(db, meshId)
}

/** Deletes a reader in the caller's transaction: its URL then answers 404. Throws NOT_FOUND. */
export async function removeReader(
  trx: Db,
  meshId: MeshId,
  gone: {
    readonly trustDomain: TrustDomain
    readonly id: string
    readonly context: ChangeContext
  },
): Promise<void> {
  const reader = await store.findReaderById(trx, meshId, gone)
  if (reader === undefined || !(await store.deleteReader(trx, meshId, gone))) throw noSuchReader()
  await audit(trx, reader, { context: gone.context, action: 'bundle-reader.delete' })
  await bumpChange(trx, meshId, 'bundle')
}

/** The URL of a reader: the plain bundle URL and its reference. */
export function readerUrl(
  bundleUrl: string,
  secret: Uint8Array,
  reader: Pick<Reader, 'trustDomain' | 'id'>,
): string {
  return `${bundleUrl}/for/${writeReaderRef(secret, reader)}`
}

/** The refusal for a reader that does not exist. */
export function noSuchReader(label?: string): ServiceError {
  const name = label === undefined ? '' : ` ${quoted(label)}`
  return new ServiceError('NOT_FOUND', `the bundle has no reader${name}`, {
    next: 'entente bundle reader list',
  })
}

async function audit(
  trx: Db,
  reader: Reader,
  { context, action }: { readonly context: ChangeContext; readonly action: string },
): Promise<void> {
  await recordAudit(trx, {
    at: context.now,
    meshId: reader.meshId,
    actor: context.actor,
    action,
    object: `bundle/${reader.trustDomain}/reader/${reader.label}`,
    body: { id: reader.id, kind: reader.kind, relationshipId: reader.relationshipId ?? null },
  })
}
