import { randomInt } from 'node:crypto'
import { type X509Signer } from '../authority/signers.ts'
import { addSeconds, wholeSeconds } from '../clock.ts'
import { inTransaction } from '../db/connect.ts'
import { isServiceError } from '../errors.ts'
import { type CsrKey, readCsr } from '../pki/csr.ts'
import { publicKeySha256 } from '../pki/key-pair.ts'
import { BACKDATE_SECONDS, prepareX509Svid, signX509Svid, type X509Svid } from '../pki/x509-svid.ts'
import { type Entry } from '../registry/entry.ts'
import { takeToken, type UsableToken } from '../registry/join-tokens.ts'
import { type Caller, workloadOf } from './caller.ts'
import { type IssueDeps, issuerMoved, MOST_ATTEMPTS } from './deps.ts'
import { type Admitted, admitBySvid, admitByToken, tokenRefused } from './evidence.ts'
import { federatedBundlesOf, type FederatedBundles } from './identity-bundles.ts'
import { type IssuedSvid } from './issued.ts'
import { type OwnBundle } from './own-bundles.ts'
import { recordIssued } from './record-issued.ts'

/** A join token, or the SVID that the connection proved. */
export type Evidence =
  { readonly token: string; readonly source: string } | { readonly caller: Caller }

/** An X509-SVID with everything that its workload needs until it asks again. */
export interface IssuedX509 {
  readonly entry: Entry
  readonly svid: X509Svid
  /** DER: the leaf and the intermediates above it, no root. */
  readonly chain: readonly Uint8Array[]
  readonly renewAt: Date
  readonly own: OwnBundle
  /** When to ask for newer bundles at the latest; the same moment is in our record. */
  readonly bundleRefreshSeconds: number
  readonly federated: FederatedBundles
}

/**
 * Issues an X509-SVID: CSR, evidence, signature, record, and only after its commit the answer.
 *
 * The CSR is looked at first, so a refused one does not use up the token. When the authority retires meanwhile,
 * the SVID is signed again by its successor. Throws CSR_REJECTED, EVIDENCE_REFUSED, RATE_LIMITED, QUOTA_EXCEEDED (by
 * new evidence only), SVID_REFUSED,
 * ISSUER_UNAVAILABLE, DATABASE_UNAVAILABLE, OUTCOME_UNKNOWN, CONFLICT.
 */
export async function issueX509(
  deps: IssueDeps,
  { csr, evidence }: { readonly csr: Uint8Array; readonly evidence: Evidence },
): Promise<IssuedX509> {
  limit(deps, evidence)
  const key = readCsr(csr)
  for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt += 1) {
    const admitted = await admit(deps, evidence)
    const { entry } = admitted
    if ('token' in evidence) requireRoomForFirst(deps, entry)
    const signer = await deps.signers.x509(entry.meshId, entry.trustDomain, entry.cluster)
    const own = deps.bundles.load(entry.trustDomain)
    const svid = signFor(admitted, { key, signer, now: deps.clock.now() })
    const record = recordOf({ admitted, svid, key, signer, own, now: deps.clock.now() })
    if (await store(deps, record, admitted.token)) {
      deps.usage.count(entry)
      const federated = await federatedBundlesOf(deps.peers, entry)
      return answerOf({ entry, svid, signer, own, federated })
    }
    deps.signers.forget(entry.meshId)
  }
  throw issuerMoved()
}

function limit({ limiter }: IssueDeps, evidence: Evidence): void {
  if ('token' in evidence) limiter.takeForSource(evidence.source)
  else limiter.takeForRenewal(workloadOf(evidence.caller))
}

/** Only of a first SVID, and after its token: who has none of this mesh uses up nothing of it. */
function requireRoomForFirst({ usage, limiter }: IssueDeps, entry: Entry): void {
  limiter.takeForFirst(entry.meshId)
  usage.requireRoom(entry)
}

async function admit(deps: IssueDeps, evidence: Evidence): Promise<Admitted> {
  if ('token' in evidence) return admitByToken(deps.db, evidence.token, await deps.now(deps.db))
  const { reader, reattestAfterSeconds, clock } = deps
  return admitBySvid(evidence.caller, { reader, reattestAfterSeconds, now: clock.now() })
}

interface Signing {
  readonly key: CsrKey
  readonly signer: X509Signer
  readonly now: Date
}

function signFor({ entry, settings }: Admitted, { key, signer, now }: Signing): X509Svid {
  const ttl = Math.min(entry.x509TtlSeconds, settings.maxX509SvidSeconds)
  const begin = wholeSeconds(now)
  const wanted = addSeconds(begin, ttl)
  const prepared = prepareX509Svid({
    id: entry.spiffeId,
    publicKey: key.spki,
    dnsNames: entry.dnsNames,
    notBefore: addSeconds(begin, -BACKDATE_SECONDS),
    notAfter: wanted < signer.notAfter ? wanted : wholeSeconds(signer.notAfter),
    issuer: signer.issuer,
  })
  return signX509Svid(prepared, signer.issuer)
}

interface Recording extends Signing {
  readonly admitted: Admitted
  readonly svid: X509Svid
  readonly own: OwnBundle
}

function recordOf({ admitted, svid, key, signer, own, now }: Recording): IssuedSvid {
  const { entry, firstAttestedAt } = admitted
  return {
    meshId: entry.meshId,
    trustDomain: entry.trustDomain,
    kind: 'x509',
    serial: svid.serial,
    spiffeId: entry.spiffeId,
    entryId: entry.id,
    publicKeySha256: publicKeySha256(key.spki),
    authorityId: signer.authorityId,
    notAfter: svid.notAfter,
    firstAttestedAt,
    bundleSequence: own.served.sequence,
    refreshAt: addSeconds(now, own.served.hintSeconds),
    issuedAt: now,
  }
}

/** Records the SVID; with a token in one transaction that also uses it up, else together with others. */
async function store(
  deps: IssueDeps,
  record: IssuedSvid,
  token: UsableToken | undefined,
): Promise<boolean> {
  if (token === undefined) return deps.writer.add(record)
  try {
    await inTransaction(deps.db, async (trx) => {
      const context = { actor: `workload:${record.spiffeId}`, now: await deps.now(trx) }
      if (!(await takeToken(trx, token, context))) throw tokenRefused()
      const [isRecorded] = await recordIssued(trx, [record])
      if (isRecorded !== true) throw issuerMoved() // rolls back, so the token is as good as before
    })
    return true
  } catch (error) {
    if (isServiceError(error, 'ISSUER_UNAVAILABLE')) return false
    throw error
  }
}

interface Answering {
  readonly entry: Entry
  readonly svid: X509Svid
  readonly signer: X509Signer
  readonly own: OwnBundle
  readonly federated: FederatedBundles
}

function answerOf({ entry, svid, signer, own, federated }: Answering): IssuedX509 {
  return {
    entry,
    svid,
    chain: [svid.certificate, ...signer.chain],
    renewAt: renewalOf(svid),
    own,
    bundleRefreshSeconds: own.served.hintSeconds,
    federated,
  }
}

/** Half of the life, up to a tenth of it earlier at random, so that a fleet started at once spreads out. */
function renewalOf({ notBefore, notAfter }: X509Svid): Date {
  const begin = notBefore.getTime() + BACKDATE_SECONDS * 1000
  const life = notAfter.getTime() - begin
  const jitter = life * 0.1 * (randomInt(1000) / 1000)
  return new Date(Math.floor(begin + life / 2 - jitter))
}
