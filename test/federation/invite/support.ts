import { createPrivateKey } from 'node:crypto'
import { type Test } from 'tap'
import { systemClock } from '../../../src/clock.ts'
import { inviteProof, parseInvite } from '../../../src/federation/invite/invite.ts'
import { type NewHandshake, writeHandshake } from '../../../src/federation/invite/handshake.ts'
import { type Side } from '../../../src/federation/invite/peer-side.ts'
import { splitPem } from '../../../src/pki/pem.ts'
import { type X5cSigner } from '../../../src/pki/x5c-jws.ts'
import { exchangeId } from '../../../src/spiffe/spiffe-id.ts'
import { parseEndpointUrl } from '../../../src/spiffe/endpoint-profile.ts'
import { type CertificateWish, type FakeAuthority, type FakePeer } from '../../support/fake-peer.ts'
import { type Answer, startTestService, type TestService } from '../../support/service.ts'

/** A service with one mesh that may connect to localhost. */
export interface Party {
  readonly service: TestService
  readonly mesh: string
  /** A call below the mesh, with the admin token. */
  readonly call: (
    method: 'GET' | 'POST' | 'DELETE',
    path: string,
    body?: object,
    headers?: Record<string, string>,
  ) => Promise<Answer>
}

/** Starts a service with a mesh `<mesh>` of trust domain `<mesh>.example`. */
export async function party(
  t: Pick<Test, 'teardown' | 'testdir'>,
  mesh: string,
  settings: Record<string, string> = {},
): Promise<Party> {
  const service = await startTestService(t, { ENTENTE_EGRESS_ALLOW: 'localhost', ...settings })
  const made = await service.admin('POST', '/meshes', {
    meshId: mesh,
    trustDomain: `${mesh}.example`,
  })
  if (made.status !== 201) throw new Error(JSON.stringify(made.body))
  return partyIn(service, mesh)
}

/** The mesh of a service that runs already. */
export function partyIn(service: TestService, mesh: string): Party {
  const call: Party['call'] = (method, path, body, headers) =>
    service.admin(method, `/meshes/${mesh}${path}`, body, headers)
  return { service, mesh, call }
}

/** Makes an invite and answers with the whole answer; fails when it was refused. */
export async function inviteOf(
  { call, service }: Party,
  wish: object = {},
): Promise<Answer['body']> {
  const made = await call('POST', '/invites', wish)
  if (made.status !== 201) {
    const failures = service.lines.filter((line) => line.includes('request.failed'))
    throw new Error([JSON.stringify(made.body), ...failures].join('\n'))
  }
  return made.body
}

/** Accepts an invite. */
export function accept({ call }: Party, invite: string, rest: object = {}): Promise<Answer> {
  return call('POST', '/invites/accept', { invite, ...rest })
}

/** The certificate of an authority with its key, to sign messages with. */
export async function signerBy(
  authority: FakeAuthority,
  wish: CertificateWish,
): Promise<X5cSigner> {
  const { cert, key } = await authority.issue(wish)
  return { chain: splitPem(cert), privateKey: createPrivateKey(key) }
}

/** The signer that a fake peer declares: its endpoint. */
export function endpointSigner(peer: FakePeer): Promise<X5cSigner> {
  return signerBy(peer.root, { uris: [peer.endpointId] })
}

/** A fake peer as it tells about itself. */
export function sideOf(peer: FakePeer, change: Partial<Side> = {}): Side {
  return {
    meshName: peer.trustDomain.split('.')[0] ?? 'peer',
    domains: [
      {
        trustDomain: peer.trustDomain,
        profile: 'https_spiffe',
        url: peer.url,
        recovery: [],
        endpointId: peer.endpointId,
        document: peer.document,
      },
    ],
    exchange: {
      id: exchangeId(peer.trustDomain),
      url: parseEndpointUrl(`https://localhost:${peer.port}/federation/v1`),
    },
    ...change,
  }
}

/** The message of a fake peer that accepts an invite. */
export async function handshakeBy(
  peer: FakePeer,
  text: string,
  { signer, ...change }: Partial<NewHandshake> & { readonly signer?: X5cSigner } = {},
): Promise<string> {
  const invite = parseInvite(text)
  const now = systemClock.now()
  const wanted: NewHandshake = {
    proof: inviteProof(invite.secret),
    acceptor: sideOf(peer),
    inviter: invite.side,
    now,
    ...change,
  }
  return writeHandshake(wanted, signer ?? (await endpointSigner(peer)))
}
