import { parseMeshId } from '../../../src/db/ids.ts'
import { createRoot } from '../../../src/pki/ca-certificate.ts'
import { toPem } from '../../../src/pki/certificate.ts'
import { generateKeyPair } from '../../../src/pki/key-pair.ts'
import { type SpiffeId } from '../../../src/spiffe/spiffe-id.ts'
import { parseTrustDomain } from '../../../src/spiffe/trust-domain.ts'
import { type TestService } from '../../support/service.ts'

/** A mesh with one of everything. Meshes differ in their mark alone, which stands in every text of theirs. */
export interface Populated {
  readonly meshId: string
  readonly mark: string
  /** Where its services are. */
  readonly namespace: string
  /** Who serves its services, and reports its endpoints. */
  readonly serverId: string
  readonly trustDomain: string
  readonly peerDomain: string
  /** What the service named, by the parameter that asks for it. */
  readonly ids: Readonly<Record<string, string>>
  /** Values that were shown once. */
  readonly secrets: readonly string[]
}

const roots = new Map<string, string>()

/** The root of a domain that nobody serves, as PEM; the same each time. */
export function somebodysRoot(trustDomain: string): string {
  const known = roots.get(trustDomain)
  if (known !== undefined) return known
  const now = Date.now()
  const keys = generateKeyPair()
  const notBefore = new Date(now - 60_000)
  const notAfter = new Date(now + 86_400_000)
  const domain = parseTrustDomain(trustDomain)
  const pem = toPem(createRoot({ trustDomain: domain, keys, notBefore, notAfter }))
  roots.set(trustDomain, pem)
  return pem
}

/** A SHA-256 that belongs to no key, different for each mark. */
export const digestOf = (mark: string): string =>
  Buffer.from(mark.repeat(32)).toString('hex').slice(0, 64)

/**
 * Makes a mesh and in it one of everything, under the same names in every mesh; beside each a second one with the
 * mark in its name, so that a name which exists elsewhere only can be asked for.
 */
export async function populate(
  service: TestService,
  { meshId, mark }: { readonly meshId: string; readonly mark: string },
): Promise<Populated> {
  const trustDomain = `${mark}.example`
  const peerDomain = `peer-${mark}.example`
  const create = async (path: string, body: object, method: 'POST' | 'PUT' = 'POST') => {
    const answer = await service.admin(method, path, body, { 'if-match': '*' })
    if (answer.status > 201) throw new Error(`${path}: ${JSON.stringify(answer.body)}`)
    return answer.body
  }
  await create('/meshes', { meshId, trustDomain, displayName: mark, environment: mark })
  const at = `/meshes/${meshId}`
  const serverId = `spiffe://${trustDomain}/ns/shop/sa/${mark}`
  for (const name of ['partner', `only-${mark}`]) {
    const domain = name === 'partner' ? peerDomain : `other-${mark}.example`
    await create(`${at}/relationships`, {
      name,
      contact: mark,
      note: mark,
      labels: { owner: mark },
      reviewAt: '2026-01-01T00:00:00Z',
      domains: [{ trustDomain: domain, source: 'static', bundlePem: somebodysRoot(domain) }],
    })
  }
  for (const name of ['partners', `only-${mark}`]) {
    await create(`${at}/peer-groups`, { name, note: mark, members: [{ relationship: 'partner' }] })
  }
  for (const name of ['cart', `only-${mark}`]) {
    const about = { namespace: 'shop', name, labels: { owner: mark } }
    const ports = [{ name: 'http', port: 80 }]
    await create(`${at}/services`, { ...about, ports, identities: [serverId] })
    const identities = [`spiffe://${peerDomain}/ns/shop/sa/${mark}`]
    await create(`${at}/relationships/partner/offers`, { ...about, ports, identities })
  }
  const subject = { namespace: 'shop', name: 'cart' }
  const audience = { kind: 'peers', relationships: ['partner'] }
  const rule = { effect: 'allow', subject, audience, note: mark }
  const { id: ruleId } = await create(`${at}/rules`, { ...rule, direction: 'export' })
  await create(`${at}/rules`, {
    ...rule,
    direction: 'import',
    subject: { namespace: 'shop', name: '*' },
  })
  const { id: entryId } = await create(`${at}/entries`, {
    spiffeId: `/ns/shop/sa/${mark}`,
    hint: mark,
    dnsNames: [`${mark}.example`],
  })
  const joining = await create(`${at}/join-tokens`, { spiffeId: `/ns/shop/sa/${mark}` })
  const invite = await create(`${at}/invites`, { as: mark, for: `for-${mark}.example` })
  await create(`${at}/bundle/readers`, { label: 'spire' })
  await create(`${at}/distrusted-keys`, { publicKeySha256: digestOf(mark), note: mark })
  for (const name of ['ops', `only-${mark}`]) {
    const url = `https://${mark}.example/hook`
    await create(`${at}/webhooks`, { name, url, note: mark, minSeverity: 'critical' })
  }
  for (const name of ['partners', `only-${mark}`]) {
    await create(`${at}/applied/PeerGroup/${name}`, { owner: mark, digest: digestOf(mark) }, 'PUT')
  }
  const grant = { role: 'auditor', meshId, ttlSeconds: 3600 }
  const token = await create('/api-tokens', { label: mark, ...grant })
  for (const name of ['east', `only-${mark}`]) {
    const address = `${name}.${mark}.example`
    const locality = { region: mark }
    await create(`${at}/networks`, { name })
    const plane = { name, type: 'external', address: `${address}:15012`, locality }
    await create(`${at}/control-planes`, { ...plane, heartbeatSeconds: 60 })
    const cluster = { name, role: 'remote', locality, networks: [name], controlPlanes: [name] }
    await create(`${at}/clusters`, cluster)
    await create(`${at}/gateways`, { name, network: name, address, port: 15443, cluster: name })
  }
  await create(`${at}/quotas/shop`, { services: 77 }, 'PUT')
  await addReporter(service, { meshId, serverId })
  await addEndpoint(service, { meshId, serverId }, { namespace: 'shop', mark })
  const [authority] = (await service.admin('GET', `${at}/authorities`)).body.items
  const [revision] = (await service.admin('GET', `${at}/bundle/revisions`)).body.items
  return {
    meshId,
    mark,
    serverId,
    namespace: 'shop',
    trustDomain,
    peerDomain,
    secrets: [joining.token, invite.invite, token.token],
    ids: {
      ruleId,
      entryId,
      authorityId: authority.id,
      inviteId: invite.id,
      joinTokenId: joining.id,
      apiTokenId: token.id,
      grantId: token.grants[0].id,
      sequence: revision.sequence,
    },
  }
}

type Reporting = Pick<Populated, 'meshId' | 'serverId'>

const reporterOf = ({ meshId, serverId }: Reporting) => ({
  mesh_id: parseMeshId(meshId),
  cluster: 'east',
  reporter: serverId as SpiffeId,
})

async function addReporter({ service }: TestService, mesh: Reporting): Promise<void> {
  const now = new Date()
  const row = { ...reporterOf(mesh), revision: 1n, ttl_seconds: 3600, seen_at: now }
  await service.base.database.db.insertInto('endpoint_reporter').values(row).execute()
}

/** Where the service `cart` of a namespace listens, as the reporter of the mesh saw it: the same address in all. */
export async function addEndpoint(
  { service }: TestService,
  mesh: Reporting,
  { namespace, mark }: { readonly namespace: string; readonly mark: string },
): Promise<void> {
  await service.base.database.db
    .insertInto('endpoint')
    .values({
      ...reporterOf(mesh),
      namespace,
      service: 'cart',
      workload_uid: `pod-${mark}`,
      port: 8080,
      port_name: 'http',
      network: 'east',
      address: '10.0.0.5',
      region: mark,
      zone: null,
      subzone: null,
      reported_at: new Date(),
    })
    .execute()
}
