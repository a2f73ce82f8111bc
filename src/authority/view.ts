import { fingerprintOf, toPem } from '../pki/certificate.ts'
import type { AuthorityView } from './api.ts'
import type { StoredAuthority } from './authority.ts'
import { deadlineOf, prepareAt, waitingFor } from './lifecycle.ts'
import type { FullSituation } from './situation.ts'

/** An authority as the API shows it; `situation` tells what a prepared one waits for. */
export function viewAuthority(
  authority: StoredAuthority,
  situation: FullSituation | undefined,
): AuthorityView {
  const { certificate } = authority
  const isActive = authority.state === 'active'
  return {
    id: authority.id,
    trustDomain: authority.trustDomain,
    kind: authority.kind,
    cluster: authority.cluster ?? null,
    parentId: authority.parentId ?? null,
    state: authority.state,
    keyId: authority.keyId,
    certificateSha256: certificate === undefined ? null : fingerprintOf(certificate),
    certificatePem: certificate === undefined ? null : toPem(certificate),
    ...momentsOf(authority),
    publishedSequence: authority.publishedSequence?.toString() ?? null,
    forced: authority.forced,
    endpointOnly: authority.endpointOnly,
    hasPrivateKey: authority.hasKey,
    successorPreparedAt: isActive ? prepareAt(authority).toISOString() : null,
    successorForcedAt: isActive ? deadlineOf(authority).toISOString() : null,
    waitingFor: waitsOf(authority, situation),
  }
}

function waitsOf(
  authority: StoredAuthority,
  situation: FullSituation | undefined,
): AuthorityView['waitingFor'] {
  if (situation === undefined || authority.state !== 'prepared') return []
  return waitingFor(authority, situation).map((wait) => ({
    for: wait.for,
    until: wait.until?.toISOString() ?? null,
    detail: wait.detail,
  }))
}

function momentsOf(authority: StoredAuthority) {
  return {
    notBefore: authority.notBefore.toISOString(),
    notAfter: authority.notAfter.toISOString(),
    preparedAt: authority.preparedAt.toISOString(),
    publishedAt: authority.publishedAt?.toISOString() ?? null,
    activatedAt: authority.activatedAt?.toISOString() ?? null,
    retiredAt: authority.retiredAt?.toISOString() ?? null,
    removeAt: authority.removeAt?.toISOString() ?? null,
    removedAt: authority.removedAt?.toISOString() ?? null,
  }
}
