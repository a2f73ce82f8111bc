import t from 'tap'
import { startTestService, type TestService } from '../support/service.ts'
import { until } from '../support/until.ts'

interface Side {
  readonly service: TestService
  readonly mesh: string
}

const makeSide = async (t: Parameters<typeof startTestService>[0], mesh: string): Promise<Side> => {
  const service = await startTestService(t, {
    ENTENTE_POLL_MIN_SECONDS: '1',
    ENTENTE_EGRESS_ALLOW: 'localhost',
  })
  const made = await service.admin('POST', '/meshes', {
    meshId: mesh,
    trustDomain: `${mesh}.example`,
    settings: { hintSeconds: 2 },
  })
  if (made.status !== 201) throw new Error(JSON.stringify(made.body))
  return { service, mesh }
}

/** What a side hands to its peer: where its bundle is, and the bundle itself. */
const handOut = async ({ service, mesh }: Side) => {
  const shown = await service.admin('GET', `/meshes/${mesh}`)
  const [domain] = shown.body.trustDomains
  const { body } = await service.admin('GET', `/meshes/${mesh}/bundle`)
  return {
    trustDomain: domain.name,
    source: domain.profile,
    endpointUrl: domain.bundleUrl,
    endpointSpiffeId: domain.endpointSpiffeId,
    bundle: typeof body.document === 'string' ? body.document : JSON.stringify(body),
  }
}

const relationship = async ({ service, mesh }: Side, name: string) =>
  (await service.admin('GET', `/meshes/${mesh}/relationships/${name}`)).body

const federate = async (ours: Side, theirs: Side) => {
  const body = { name: theirs.mesh, domains: [await handOut(theirs)] }
  return ours.service.admin('POST', `/meshes/${ours.mesh}/relationships`, body)
}

t.test(
  'FE-04 FE-09 FE-16 FE-34 two services federate over https_spiffe, each by its own act',
  async (t) => {
    const acme = await makeSide(t, 'acme')
    const globex = await makeSide(t, 'globex')
    t.equal((await federate(acme, globex)).status, 201)
    const first = await until(
      () => relationship(acme, 'globex'),
      ({ state }) => state === 'active',
    )
    t.match(first, { state: 'active', health: 'ok', domains: [{ bundle: { origin: 'fetched' } }] })
    t.same((await globex.service.admin('GET', '/meshes/globex/relationships')).body.items, [])
    t.equal((await federate(globex, acme)).status, 201)
    const second = await until(
      () => relationship(globex, 'acme'),
      ({ state }) => state === 'active',
    )
    t.match(second, { state: 'active', health: 'ok' })

    const polledAt = first.domains[0].poll.lastSuccessAt
    const later = await until(
      () => relationship(acme, 'globex'),
      ({ domains }) => domains[0].poll.lastSuccessAt > polledAt,
    )
    t.match(
      later,
      { health: 'ok', domains: [{ bundle: { n: '2' }, poll: { failures: 0 } }] },
      'unchanged polls write no revision',
    )

    await globex.service.stop()
    const failing = await until(
      () => relationship(acme, 'globex'),
      ({ health }) => health === 'failing',
    )
    t.match(failing, { state: 'active', health: 'failing', healthReason: /nothing listens/ })

    const ended = await acme.service.admin(
      'POST',
      '/meshes/acme/relationships/globex/terminate',
      undefined,
      {
        'if-match': '*',
      },
    )
    t.match(ended.body, { relationship: { state: 'terminated' } })
    t.equal((await acme.service.service.parts.federation.peerBundles.of('acme' as never)).size, 0)
  },
)
