import t from 'tap'
import { Agent, request } from 'undici'
import { handshakeBy, inviteOf, partyIn } from '../federation/invite/support.ts'
import { POSTGRES_URL, testPostgresUrl } from '../support/database.ts'
import { FakePeer } from '../support/fake-peer.ts'
import { postgresEnvironment } from '../support/process.ts'
import { startTestService } from '../support/service.ts'
import { untilTrue } from '../support/until.ts'
import { testFolder } from '../support/test-folder.ts'

const server = POSTGRES_URL
const skip = server === undefined && 'needs ENTENTE_TEST_DATABASE_URL (a PostgreSQL server)'
const anyServer = new Agent({ connect: { rejectUnauthorized: false } })

/** Status of the bundle endpoint; 0 while the replica has no certificate for it yet. */
const statusOf = async (origin: string | undefined): Promise<number> => {
  try {
    const answer = await request(`${origin}/bundles/acme.example`, { dispatcher: anyServer })
    await answer.body.dump()
    return answer.statusCode
  } catch {
    return 0
  }
}

t.test('of acceptors at two replicas at once exactly one wins', { skip }, async (t) => {
  const folder = testFolder(t, ['one', 'two'])
  const settings = {
    ...postgresEnvironment(folder, await testPostgresUrl(t, server ?? '')),
    ENTENTE_EGRESS_ALLOW: 'localhost',
    ENTENTE_PUBLIC_URL: 'https://localhost:8443',
  }
  const replicas = [
    await startTestService(t, { ...settings, ENTENTE_DATA_DIR: `${folder}/one` }),
    await startTestService(t, { ...settings, ENTENTE_DATA_DIR: `${folder}/two` }),
  ] as const
  const acme = { meshId: 'acme', trustDomain: 'acme.example' }
  t.equal((await replicas[0].admin('POST', '/meshes', acme)).status, 201)
  const [one, two] = replicas.map(
    ({ service }) => `https://localhost:${service.addresses.federation.split(':').at(-1)}`,
  )
  await untilTrue(async () => (await statusOf(one)) === 200 && (await statusOf(two)) === 200)
  const peer = await FakePeer.open(t, 'globex.example')
  const { invite } = await inviteOf(partyIn(replicas[0], 'acme'), { for: 'globex.example' })
  const tokens = await Promise.all(Array.from({ length: 32 }, () => handshakeBy(peer, invite)))
  const statuses = await Promise.all(
    tokens.map(async (body, index) => {
      const answer = await request(`${index % 2 === 0 ? one : two}/federation/v1/handshake`, {
        method: 'POST',
        headers: { 'content-type': 'application/jose' },
        body,
        dispatcher: anyServer,
      })
      await answer.body.dump()
      return answer.statusCode
    }),
  )
  t.equal(statuses.filter((status) => status === 200).length, 1, String(statuses))
  t.same(
    statuses.filter((status) => ![200, 409, 429].includes(status)),
    [],
  )
  const { body } = await replicas[1].admin('GET', '/meshes/acme/relationships')
  t.match(body.items, [{ name: 'globex', state: 'active' }])
  t.equal(body.items.length, 1)
})
