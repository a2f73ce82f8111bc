import { createServer } from 'node:net'
import { randomBytes } from 'node:crypto'
import t from 'tap'
import { inTransaction } from '../../src/db/connect.ts'
import { parseMeshId } from '../../src/db/ids.ts'
import { createRelationship } from '../../src/federation/create-relationship.ts'
import { peerReadersOf } from '../../src/federation/peer-readers.ts'
import { issuingService } from './issuing-service.ts'

t.test(
  'an SVID names the peers whose bundle is missing and waits for none of them (spire#7146: one bundle missing, and every entry naming it got no identity)',
  async (t) => {
    let connections = 0
    const silent = createServer(() => (connections += 1))
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
    t.teardown(() => silent.close())
    const { port } = silent.address() as { port: number }
    const { database, join, token } = await issuingService(t)
    const { db } = database
    await inTransaction(db, (trx) =>
      createRelationship(trx, parseMeshId('acme'), {
        draft: {
          name: 'globex',
          domains: [
            {
              trustDomain: 'globex.example',
              source: 'https_web',
              endpointUrl: `https://localhost:${port}/bundle`,
            },
          ],
        },
        context: { actor: 'test', now: new Date() },
        readers: peerReadersOf({ publicUrl: 'https://localhost', secret: randomBytes(32) }),
      }),
    )
    await token('/web')
    const named = ['globex.example', 'nobody.example']
    await db
      .updateTable('entry')
      .set({ federates_with: JSON.stringify(named) })
      .execute()
    const { answer } = await join('/web')
    t.match(answer.certificateChain, /^-----BEGIN CERTIFICATE-----/)
    t.same(answer.federatedBundles, [])
    t.match(answer.missingBundles, [
      {
        trustDomain: 'globex.example',
        reason: /waits for a first verified bundle of globex\.example/,
      },
      { trustDomain: 'nobody.example', reason: 'there is no relationship with this domain' },
    ])
    t.equal(connections, 0, 'no answer is made to wait for a peer')
  },
)
