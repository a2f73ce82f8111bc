import { type EntryView, type JoinTokenView } from './api.ts'
import { type Entry, groupOf, namedDomains } from './entry.ts'
import { type StoredToken } from './token-store.ts'

/** An entry as the wire has it. */
export function viewEntry(entry: Entry): EntryView {
  return {
    id: entry.id,
    spiffeId: entry.spiffeId,
    trustDomain: entry.trustDomain,
    x509TtlSeconds: entry.x509TtlSeconds,
    jwtTtlSeconds: entry.jwtTtlSeconds,
    dnsNames: [...entry.dnsNames],
    federatesWith: viewFederated(entry),
    hint: entry.hint ?? null,
    cluster: entry.cluster ?? null,
    expiresAt: entry.expiresAt?.toISOString() ?? null,
    version: String(entry.version),
    createdAt: entry.createdAt.toISOString(),
  }
}

function viewFederated(entry: Entry): EntryView['federatesWith'] {
  const { federatesWith } = entry
  if (typeof federatesWith === 'string') return federatesWith
  const group = groupOf(entry)
  return group === undefined ? [...(namedDomains(entry) ?? [])] : { group }
}

/** A join token as the wire has it. */
export function viewToken(token: StoredToken, now: Date): JoinTokenView {
  return {
    id: token.id,
    entryId: token.entryId,
    spiffeId: token.spiffeId,
    state: stateOf(token, now),
    expiresAt: token.expiresAt.toISOString(),
    usedAt: token.usedAt?.toISOString() ?? null,
    createdAt: token.createdAt.toISOString(),
  }
}

function stateOf({ usedAt, expiresAt }: StoredToken, now: Date): JoinTokenView['state'] {
  if (usedAt !== undefined) return 'used'
  return expiresAt <= now ? 'ended' : 'usable'
}
