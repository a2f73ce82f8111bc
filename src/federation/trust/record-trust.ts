import { type Db } from '../../db/schema.ts'
import { readDocument } from '../poll/accept-bundle.ts'
import { exactNameOf, factsOf } from './authority-facts.ts'
import { type Relationship } from '../relationship.ts'
import { findCurrent } from '../peer-bundle/revision-store.ts'
import { settleLocal } from '../local/settle-local.ts'
import {
  deleteSpan,
  endSpans,
  insertSpans,
  listOpenSpans,
  type OpenSpan,
  type TrustedPart,
  type TrustEvent,
} from './trust-store.ts'

/**
 * Writes into the history of trust what a change of a relationship, or of a bundle of it, makes trusted from now on
 * and what no longer; in the transaction of that change, after it, under the relationship's lock.
 *
 * It compares what is in force with what the history says, so that calling it once too often changes nothing; answers
 * how many spans began and ended.
 * Distrust of single keys is not written here: whoever reads the history takes it from the distrusted keys.
 */
export async function recordTrust(
  trx: Db,
  relationship: Relationship,
  event: TrustEvent,
): Promise<{ readonly begun: number; readonly ended: number }> {
  const open = await listOpenSpans(trx, relationship.meshId, relationship.id)
  const parts = await trustedParts(trx, relationship)
  const wanted = new Map(parts.map((part) => [nameOf(part), part]))
  const known = new Set(open.map(nameOf))
  const over = open.filter((span) => !wanted.has(nameOf(span)))
  for (const span of over.filter(({ authority }) => authority === undefined)) {
    await settleLocal(trx, relationship, { span, ended: event })
    await deleteSpan(trx, relationship.meshId, span.id)
  }
  await endSpans(trx, relationship.meshId, { ids: over.map(({ id }) => id), ended: event })
  const fresh = [...wanted].filter(([name]) => !known.has(name)).map(([, part]) => part)
  await insertSpans(trx, relationship, { parts: fresh, begun: event })
  return { begun: fresh.length, ended: over.length }
}

/** What a relationship makes trusted now: nothing unless it is active, and nothing of a source of our own domains. */
async function trustedParts(trx: Db, relationship: Relationship): Promise<TrustedPart[]> {
  if (relationship.state !== 'active' || relationship.purpose !== 'peer') return []
  const parts: TrustedPart[] = []
  for (const { trustDomain, source } of relationship.domains) {
    if (source === 'local') {
      parts.push({ trustDomain, authority: undefined, revision: undefined })
      continue
    }
    const key = { relationshipId: relationship.id, trustDomain }
    const revision = await findCurrent(trx, relationship.meshId, key)
    if (revision === undefined) continue
    const { bundle } = readDocument(trustDomain, revision.document)
    parts.push(...factsOf(bundle).map((authority) => ({ trustDomain, authority, revision })))
  }
  return parts
}

function nameOf({ trustDomain, authority }: TrustedPart | OpenSpan): string {
  return `${trustDomain} ${authority === undefined ? 'local' : exactNameOf(authority)}`
}
