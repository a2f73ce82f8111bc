import { createServer } from 'node:https'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { type AddressInfo } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { addSeconds, systemClock } from '../../src/clock.ts'
import { bundleFingerprint } from '../../src/federation/invite/fingerprint.ts'
import { generateKeyPair, publicJwk } from '../../src/pki/key-pair.ts'
import { writeSignedBundle } from '../../src/pki/signed-bundle.ts'
import { parseBundle } from '../../src/spiffe/bundle.ts'
import { parseTrustDomain, type TrustDomain } from '../../src/spiffe/trust-domain.ts'
import { until } from '../support/until.ts'
import { FakeAuthority } from '../support/fake-peer.ts'
import { freePorts, startTestService, type TestService } from '../support/service.ts'
import { testFolder } from '../support/test-folder.ts'

/** A CA that lives for less than the time in which its service is down. */
const LIVES = {
  rootSeconds: 20,
  intermediateSeconds: 8,
  jwtKeySeconds: 20,
  endpointSvidSeconds: 4,
  maxX509SvidSeconds: 2,
  maxJwtSvidSeconds: 2,
  minPublishSeconds: 0,
  hintSeconds: 1,
  removalSkewSeconds: 0,
}

const GLOBEX = parseTrustDomain('globex.example')
const recovery = generateKeyPair()

/** Globex on ports of its own, so that it comes back where it was. */
async function startGlobex(t: Test, folder: string) {
  const [port = 0] = await freePorts(1)
  const settings = {
    ENTENTE_DATA_DIR: folder,
    ENTENTE_PUBLIC_URL: `https://localhost:${port}`,
    ENTENTE_FEDERATION_ADDRESS: `127.0.0.1:${port}`,
    ENTENTE_EGRESS_ALLOW: 'localhost',
    ENTENTE_POLL_MIN_SECONDS: '1',
  }
  const start = () => startTestService(t, settings)
  return { first: await start(), again: start }
}

/** What globex publishes now, read by an administrator of it. */
async function bundleOf(service: TestService): Promise<Uint8Array> {
  const { body } = await service.admin('GET', '/meshes/globex/bundle')
  return new TextEncoder().encode(body.document)
}

function signedFor(audience: TrustDomain, document: Uint8Array): string {
  const issuedAt = new Date(Math.floor(systemClock.now().getTime() / 1000) * 1000)
  const { sequence } = parseBundle(GLOBEX, document).bundle
  const expiresAt = addSeconds(issuedAt, 3600)
  const bundle = { subject: GLOBEX, audience, sequence, document, issuedAt, expiresAt }
  return writeSignedBundle(bundle, { how: 'recovery-key', privateKey: recovery.privateKey })
}

/** A web server that anybody may run: it carries globex's bundle, plain and signed. */
async function startCarrier(t: Test, folder: string, current: () => Promise<Uint8Array>) {
  const root = await FakeAuthority.root('web.example')
  const server = createServer(await root.issue({ dnsNames: ['localhost'] }))
  server.on('request', (request, response) => {
    const audience = /^\/signed\/(.+)$/.exec(request.url ?? '')?.[1]
    current().then(
      (document) =>
        response.end(
          audience === undefined ? document : signedFor(parseTrustDomain(audience), document),
        ),
      () => response.writeHead(502).end(),
    )
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.teardown(() => void server.close())
  const rootsFile = join(folder, 'web-roots.pem')
  writeFileSync(rootsFile, root.pem)
  return { rootsFile, url: `https://localhost:${(server.address() as AddressInfo).port}` }
}

/** Federates one mesh of acme with globex by invite, after globex told how to recover. */
async function federate(
  { acme, globex }: { acme: TestService; globex: TestService },
  mesh: string,
  paths: readonly object[],
): Promise<void> {
  const trustDomain = `${mesh}.example`
  const steps = [
    await globex.admin('PUT', `/meshes/globex/trust-domains/${GLOBEX}/recovery`, {
      recovery: paths,
    }),
    await acme.admin('POST', '/meshes', { meshId: mesh, trustDomain }),
    await globex.admin('POST', '/meshes/globex/invites', { for: trustDomain, autoApprove: true }),
  ]
  const { invite } = steps[2]?.body ?? {}
  steps.push(await acme.admin('POST', `/meshes/${mesh}/invites/accept`, { invite }))
  const failed = steps.find(({ status }) => status >= 300)
  if (failed !== undefined) throw new Error(JSON.stringify(failed.body))
}

const isWell = ({ health }: { readonly health: string }) => health === 'ok'

t.test(
  'a peer that was down for longer than its CA lives comes back by every recovery path',
  { timeout: 300_000 },
  async (t) => {
    const folder = testFolder(t, ['acme', 'globex'])
    const { first, again } = await startGlobex(t, join(folder, 'globex'))
    let globex = first
    const carrier = await startCarrier(t, folder, () => bundleOf(globex))
    const acme = await startTestService(t, {
      ENTENTE_DATA_DIR: join(folder, 'acme'),
      ENTENTE_EGRESS_ALLOW: 'localhost',
      ENTENTE_POLL_MIN_SECONDS: '1',
      ENTENTE_WEB_ROOTS_FILE: carrier.rootsFile,
    })
    const made = await globex.admin('POST', '/meshes', {
      meshId: 'globex',
      trustDomain: GLOBEX,
      settings: LIVES,
    })
    t.equal(made.status, 201, JSON.stringify(made.body))
    const publicKey = { ...publicJwk(recovery.publicKey) }
    const endpointUrl = `${carrier.url}/signed/acme2.example`
    const sides = { acme, globex }
    await federate(sides, 'acme1', [
      { kind: 'endpoint', source: 'https_web', endpointUrl: `${carrier.url}/bundle` },
    ])
    await federate(sides, 'acme2', [{ kind: 'signed-bundle', publicKey, endpointUrl }])
    await federate(sides, 'acme3', [{ kind: 'signed-bundle', publicKey }])
    await federate(sides, 'acme4', [])
    const show = async (mesh: string) =>
      (await acme.admin('GET', `/meshes/${mesh}/relationships/globex`)).body

    await globex.stop()
    const meshes = ['acme1', 'acme2', 'acme3', 'acme4']
    const deadline = performance.now() + 60_000
    for (const mesh of meshes) {
      while ((await show(mesh)).health !== 'needs-bootstrap' && performance.now() < deadline) {
        await until(
          () => show(mesh),
          ({ health }) => health === 'needs-bootstrap',
        )
      }
      t.match(await show(mesh), { state: 'active', health: 'needs-bootstrap' }, mesh)
    }
    globex = await again()

    for (const mesh of ['acme1', 'acme2']) {
      t.match(await until(() => show(mesh), isWell), { health: 'ok' }, `${mesh} by itself`)
    }
    t.match(await show('acme3'), { health: 'needs-bootstrap' }, 'nobody brought it a bundle')
    const document = await bundleOf(globex)
    const set = (mesh: string, body: object) =>
      acme.admin('POST', `/meshes/${mesh}/relationships/globex/bundles/${GLOBEX}`, body)
    const signed = signedFor(parseTrustDomain('acme3.example'), document)
    t.equal((await set('acme4', { document: signed })).status, 422, 'it is for acme3 alone')
    t.equal((await set('acme3', { document: signed })).status, 200)
    const fingerprint = bundleFingerprint(parseBundle(GLOBEX, document).bundle)
    const pinned = { document: new TextDecoder().decode(document), fingerprint }
    t.equal((await set('acme4', pinned)).status, 200)
    for (const mesh of ['acme3', 'acme4']) {
      t.match(await until(() => show(mesh), isWell), { health: 'ok', state: 'active' }, mesh)
    }
  },
)
