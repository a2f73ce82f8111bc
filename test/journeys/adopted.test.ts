import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
import { type AddressInfo } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { parseBundle, writeBundle } from '../../src/spiffe/bundle.ts'
import { parseTrustDomain, type TrustDomain } from '../../src/spiffe/trust-domain.ts'
import { until } from '../support/until.ts'
import { FakeAuthority, FakePeer } from '../support/fake-peer.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { tlsGet } from '../support/tls-get.ts'
import { testFolder } from '../support/test-folder.ts'

const LEGACY = parseTrustDomain('legacy.example')
const PARTNER = parseTrustDomain('partner.example')
const ENDPOINT = 'spiffe://legacy.example/spire/server'

/** A system that signs for legacy.example and knows nothing of us: a CA made by openssl, and its bundle endpoint. */
async function foreignSigner(t: Test, folder: string) {
  const file = (name: string): string => join(folder, name)
  const openssl = (...argv: string[]): void =>
    void execFileSync('openssl', argv, { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] })
  const key = (name: string): void =>
    openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', file(name))
  key('ca.key')
  key('leaf.key')
  const ca = [
    '-addext',
    'basicConstraints=critical,CA:TRUE',
    '-addext',
    'keyUsage=critical,keyCertSign',
  ]
  const san = ['-addext', `subjectAltName=URI:spiffe://${LEGACY}`]
  const subject = ['-subj', '/O=legacy/CN=root', '-days', '30']
  openssl(
    'req',
    '-x509',
    '-new',
    '-key',
    file('ca.key'),
    ...subject,
    ...ca,
    ...san,
    '-out',
    file('ca.pem'),
  )
  openssl('req', '-new', '-key', file('leaf.key'), '-subj', '/CN=spire', '-out', file('leaf.csr'))
  const extensions = [
    'basicConstraints=critical,CA:FALSE',
    'keyUsage=critical,digitalSignature',
    'extendedKeyUsage=serverAuth,clientAuth',
    `subjectAltName=URI:${ENDPOINT}`,
    'subjectKeyIdentifier=hash',
    'authorityKeyIdentifier=keyid',
  ]
  writeFileSync(file('leaf.ext'), extensions.join('\n'))
  const signed = ['-CA', file('ca.pem'), '-CAkey', file('ca.key'), '-CAcreateserial', '-days', '2']
  openssl(
    'x509',
    '-req',
    '-in',
    file('leaf.csr'),
    ...signed,
    '-extfile',
    file('leaf.ext'),
    '-out',
    file('leaf.pem'),
  )
  const document = bundleOf(LEGACY, [readFileSync(file('ca.pem'), 'utf8')])
  const credential = { key: readFileSync(file('leaf.key')), cert: readFileSync(file('leaf.pem')) }
  const server = createServer(credential, (_request, response) => response.end(document))
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.teardown(() => void server.close())
  return { document, url: `https://localhost:${(server.address() as AddressInfo).port}/` }
}

/** A SPIFFE bundle of these PEM certificates. */
function bundleOf(trustDomain: TrustDomain, pems: readonly string[]): Uint8Array {
  return writeBundle({
    trustDomain,
    sequence: 1n,
    refreshHintSeconds: 300,
    jwtAuthorities: [],
    x509Authorities: pems.map((pem) => {
      const certificate = new X509Certificate(pem)
      const { kty, crv, x, y } = certificate.publicKey.export({ format: 'jwk' })
      if (kty !== 'EC' || crv === undefined || x === undefined || y === undefined)
        throw new Error(kty)
      return { certificate: certificate.raw, jwk: { kty, crv, x, y } }
    }),
  })
}

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

async function adopt(service: TestService, signer: { url: string; document: Uint8Array }) {
  const made = await service.admin('POST', '/meshes/legacy/adopt', {
    trustDomain: LEGACY,
    source: 'https_spiffe',
    endpointUrl: signer.url,
    endpointSpiffeId: ENDPOINT,
    bundle: text(signer.document),
    endpointTrustDomain: 'entente.legacy.example',
  })
  if (made.status !== 200) throw new Error(JSON.stringify(made.body))
}

const isActive = ({ state }: { readonly state: string }) => state === 'active'

t.test(
  'a running signer is adopted; what is quarantined of its partner, the relay does not hand out',
  async (t) => {
    const folder = testFolder(t, ['service', 'signer'])
    const service = await startTestService(t, {
      ENTENTE_DATA_DIR: join(folder, 'service'),
      ENTENTE_EGRESS_ALLOW: 'localhost',
    })
    const signer = await foreignSigner(t, join(folder, 'signer'))
    const show = async (name: string) =>
      (await service.admin('GET', `/meshes/legacy/relationships/${name}`)).body
    await adopt(service, signer)
    t.match(await until(() => show('source-legacy-example'), isActive), { state: 'active' })
    const ours = `${service.publicUrl}/bundles/${LEGACY}`
    const published = await until(
      () => tlsGet(ours),
      ({ status }) => status === 200,
    )
    t.same(
      parseBundle(LEGACY, published.body).bundle.x509Authorities,
      parseBundle(LEGACY, signer.document).bundle.x509Authorities,
      'what the signer signs under, byte for byte',
    )

    const partner = await FakePeer.open(t, PARTNER)
    const made = await service.admin('POST', '/meshes/legacy/relationships', {
      name: 'partner',
      changePolicy: 'approve',
      domains: [
        {
          trustDomain: PARTNER,
          source: 'https_spiffe',
          endpointUrl: partner.url,
          endpointSpiffeId: partner.endpointId,
          bundle: text(partner.document),
        },
      ],
    })
    t.equal(made.status, 201, JSON.stringify(made.body))
    await until(() => show('partner'), isActive)
    const relay = (await show('partner')).domains[0].relayUrl
    const relayed = async () => parseBundle(PARTNER, (await tlsGet(relay)).body).bundle
    const before = await relayed()
    t.same(before.x509Authorities[0]?.certificate, partner.root.der)

    const thief = await FakeAuthority.root(PARTNER)
    partner.document = partner.bundle(2n, { roots: [partner.root, thief] })
    await service.admin('POST', '/meshes/legacy/relationships/partner/refresh', {})
    t.match(await show('partner'), { state: 'active', health: 'quarantined' })
    const during = await relayed()
    t.same(during.x509Authorities, before.x509Authorities, 'the new key reaches no control plane')
    const { digest } = (await show('partner')).domains[0].waiting
    const path = `/meshes/legacy/relationships/partner/bundles/${PARTNER}/revisions/approve`
    const approved = await service.admin('POST', path, { digest })
    t.equal(approved.status, 200, JSON.stringify(approved.body))
    const after = await until(relayed, ({ x509Authorities }) => x509Authorities.length === 2)
    t.equal(after.x509Authorities.length, 2, 'once a person approved it, it does')
    t.ok((after.sequence ?? 0n) > (before.sequence ?? 0n), 'under a larger sequence of our own')
  },
)
