import { type ChangeContext, recordAudit } from '../../audit/record.ts'
import { addSeconds, wholeSeconds } from '../../clock.ts'
import { isLabel, type MeshId, newId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { quoted, ServiceError } from '../../errors.ts'
import { trustDomainsOf } from '../../mesh/find-mesh.ts'
import { parseTrustDomain, type TrustDomain } from '../../spiffe/trust-domain.ts'
import { readDocument } from '../poll/accept-bundle.ts'
import { bundleFingerprint, parseFingerprint } from './fingerprint.ts'
import { inviteHash, inviteProof, newInviteSecret, writeInvite } from './invite.ts'
import {
  insertInvite,
  lockInvite,
  lockOpenInvites,
  setCancelled,
  type StoredInvite,
} from './invite-store.ts'
import { type Introduction, type OurSide } from './our-side.ts'
import { outlineOf } from './peer-side.ts'
import { federatedDomains, findRelationship } from '../store.ts'

/** Seconds for which an invite is good unless told: a day. */
export const DEFAULT_INVITE_SECONDS = 86_400

/** Most seconds for which an invite is good: a week. */
export const MAX_INVITE_SECONDS = 7 * 86_400

/** An invite as somebody wants it. */
export interface InviteWish {
  /** Our name for the peer; proposed from its own when absent. */
  readonly as?: string | undefined
  /** The peer's trust domain; naming it is our consent. */
  readonly for?: string | undefined
  /** Says aloud that naming the peer is our consent; refused without. */
  readonly autoApprove?: boolean | undefined
  /** What the fingerprint of the peer's bundle must be. */
  readonly fingerprint?: string | undefined
  readonly expiresSeconds?: number | undefined
}

/** What making an invite needs. */
export interface CreateInvite {
  readonly wish: InviteWish
  readonly context: ChangeContext
  readonly side: OurSide
}

/** The fingerprint of one bundle, to be compared aloud. */
export interface NamedFingerprint {
  readonly trustDomain: TrustDomain
  readonly fingerprint: string
}

/** An invite as it was just made; the only time that the string itself is at hand. */
export interface CreatedInvite {
  readonly invite: StoredInvite
  readonly text: string
  readonly fingerprints: readonly NamedFingerprint[]
  /** Invites of the same peer that it replaced. */
  readonly cancelled: readonly string[]
}

/**
 * Makes an invite and the bundle URLs in it, in the caller's transaction; open invites for the same peer end.
 *
 * Throws INVALID_REQUEST, TRUST_DOMAIN_INVALID, ALREADY_EXISTS when the name or domain is taken, CONFLICT when another
 * system signs for the mesh, NOT_FOUND, PAYLOAD_TOO_LARGE.
 */
export async function createInvite(
  trx: Db,
  meshId: MeshId,
  { wish, context, side }: CreateInvite,
): Promise<CreatedInvite> {
  const parsed = parseWish(wish)
  await refuseTaken(trx, meshId, parsed)
  const cancelled = await cancelSame(trx, meshId, { parsed, context, side })
  const id = newId()
  const secret = newInviteSecret()
  const suffix = id.slice(0, 8)
  const label = parsed.name ?? `invite-${suffix}`
  const introduction = await side.introduce(trx, meshId, { label, suffix, context })
  const invite: StoredInvite = {
    meshId,
    id,
    secretHash: inviteHash(inviteProof(secret)),
    name: parsed.name,
    expectedTrustDomain: parsed.expected,
    expectedFingerprint: parsed.fingerprint,
    offered: outlineOf(introduction.side),
    readers: introduction.readers,
    createdAt: context.now,
    createdBy: context.actor,
    expiresAt: wholeSeconds(addSeconds(context.now, parsed.expiresSeconds)),
    cancelledAt: undefined,
    use: undefined,
    relationshipId: undefined,
    refusal: undefined,
  }
  await insertInvite(trx, invite)
  await auditInvite(trx, invite, { context, action: 'invite.create' })
  const { expiresAt } = invite
  const text = writeInvite({ ...introduction, secret, expiresAt, expected: parsed.expected })
  return { invite, text, fingerprints: fingerprintsOfSide(introduction), cancelled }
}

/** Ends an open invite, in the caller's transaction. Throws NOT_FOUND, and INVITE_OVER when it is over already. */
export async function cancelInvite(
  trx: Db,
  meshId: MeshId,
  about: { readonly id: string; readonly context: ChangeContext; readonly side: OurSide },
): Promise<StoredInvite> {
  const invite = await lockInvite(trx, meshId, about.id)
  if (invite === undefined) {
    throw new ServiceError('NOT_FOUND', `mesh ${meshId} has no invite ${quoted(about.id)}`, {
      next: 'entente federation invite list',
    })
  }
  refuseOver(invite, about.context.now)
  await endInvite(trx, invite, about)
  return { ...invite, cancelledAt: about.context.now }
}

/** How an invite stands. */
export type InviteState = 'open' | 'used' | 'cancelled' | 'expired'

/** How an invite stands at a moment. */
export function inviteState(invite: StoredInvite, now: Date): InviteState {
  if (invite.use !== undefined) return 'used'
  if (invite.cancelledAt !== undefined) return 'cancelled'
  return invite.expiresAt > now ? 'open' : 'expired'
}

const OVER: Readonly<Record<Exclude<InviteState, 'open'>, string>> = {
  used: 'was used already; an invite is good once',
  cancelled: 'was cancelled',
  expired: 'has expired',
}

/** Refuses an invite that is over: INVITE_OVER. */
export function refuseOver(invite: StoredInvite, now: Date): void {
  const state = inviteState(invite, now)
  if (state !== 'open') throw new ServiceError('INVITE_OVER', `this invite ${OVER[state]}`)
}

/** The fingerprints of our own bundles as an introduction has them. */
export function fingerprintsOfSide({ side }: Pick<Introduction, 'side'>): NamedFingerprint[] {
  return side.domains.map(({ trustDomain, document }) => ({
    trustDomain,
    fingerprint: bundleFingerprint(readDocument(trustDomain, document).bundle),
  }))
}

/** Records what happened to an invite; never its secret. */
export async function auditInvite(
  trx: Db,
  invite: StoredInvite,
  about: {
    readonly context: ChangeContext
    readonly action: string
    readonly body?: Record<string, unknown>
  },
): Promise<void> {
  await recordAudit(trx, {
    meshId: invite.meshId,
    actor: about.context.actor,
    action: about.action,
    object: `invite/${invite.id}`,
    at: about.context.now,
    body: {
      name: invite.name ?? null,
      expectedTrustDomain: invite.expectedTrustDomain ?? null,
      expectedFingerprint: invite.expectedFingerprint ?? null,
      expiresAt: invite.expiresAt,
      ...about.body,
    },
  })
}

interface ParsedWish {
  readonly name: string | undefined
  readonly expected: TrustDomain | undefined
  readonly fingerprint: string | undefined
  readonly expiresSeconds: number
}

function parseWish(wish: InviteWish): ParsedWish {
  const expected = wish.for === undefined ? undefined : parseTrustDomain(wish.for)
  if (wish.autoApprove === true && expected === undefined) {
    throw new ServiceError(
      'INVALID_REQUEST',
      'consent beforehand needs the name of the peer: whoever holds an open invite could use it',
      {
        next: 'name its trust domain: entente federation invite --for TRUST-DOMAIN --auto-approve',
      },
    )
  }
  if (wish.as !== undefined && !isLabel(wish.as)) {
    throw new ServiceError(
      'INVALID_REQUEST',
      `relationship name ${quoted(wish.as)} must be a DNS label: 1 to 63 of a-z, 0-9 and -`,
    )
  }
  return {
    name: wish.as,
    expected,
    fingerprint: fingerprintIn(wish),
    expiresSeconds: wish.expiresSeconds ?? DEFAULT_INVITE_SECONDS,
  }
}

function fingerprintIn({ fingerprint, for: expected }: InviteWish): string | undefined {
  if (fingerprint === undefined) return undefined
  const parsed = parseFingerprint(fingerprint)
  if (parsed !== undefined && expected !== undefined) return parsed
  throw new ServiceError(
    'INVALID_REQUEST',
    parsed === undefined
      ? `fingerprint ${quoted(fingerprint)} is not eight groups of five digits`
      : 'a fingerprint needs the trust domain that it is of',
    { next: 'entente federation invite --for TRUST-DOMAIN --fingerprint "12345 … 67890"' },
  )
}

async function refuseTaken(trx: Db, meshId: MeshId, { name, expected }: ParsedWish): Promise<void> {
  const own = await trustDomainsOf(trx, meshId)
  if (own.some((domain) => domain.name === expected)) {
    throw new ServiceError(
      'INVALID_REQUEST',
      `${expected} is a trust domain of this mesh itself, and nobody invites himself`,
    )
  }
  const federated =
    expected === undefined ? undefined : (await federatedDomains(trx, meshId)).get(expected)
  const named = name === undefined ? undefined : await findRelationship(trx, meshId, name)
  const taken = federated ?? named?.name
  if (taken === undefined) return
  throw new ServiceError(
    'ALREADY_EXISTS',
    federated === undefined
      ? `this mesh already has a relationship named ${quoted(taken)}`
      : `relationship ${taken} already federates with ${expected}`,
    { next: `entente federation show ${taken}` },
  )
}

async function cancelSame(
  trx: Db,
  meshId: MeshId,
  about: {
    readonly parsed: ParsedWish
    readonly context: ChangeContext
    readonly side: OurSide
  },
): Promise<string[]> {
  const { name, expected } = about.parsed
  const open = await lockOpenInvites(trx, meshId, about.context.now)
  const same = open.filter(
    (invite) =>
      (name !== undefined && invite.name === name) ||
      (expected !== undefined && invite.expectedTrustDomain === expected),
  )
  for (const invite of same) await endInvite(trx, invite, about)
  return same.map(({ id }) => id)
}

async function endInvite(
  trx: Db,
  invite: StoredInvite,
  { context, side }: { readonly context: ChangeContext; readonly side: OurSide },
): Promise<void> {
  await side.forget(trx, invite.meshId, { readers: invite.readers, context })
  await setCancelled(trx, invite.meshId, { id: invite.id, at: context.now })
  await auditInvite(trx, invite, { context, action: 'invite.cancel' })
}
