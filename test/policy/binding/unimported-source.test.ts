import t from 'tap'
import { MESH_FINDINGS_SECONDS } from '../../../src/federation/alert/alert-source.ts'
import { unimportedSource } from '../../../src/policy/binding/unimported-source.ts'
import { addMesh, addRelationship, policyApp } from '../policy-app.ts'

t.test('what peers offer and we neither import nor refuse is told of, peer by peer', async (t) => {
  const { db, clock, snapshots, call } = await policyApp(t)
  for (const mesh of ['acme', 'initech']) {
    const meshId = await addMesh(db, mesh, clock.db)
    await addRelationship(db, meshId, { name: 'globex' })
    await addRelationship(db, meshId, { name: 'paused', state: 'suspended' })
  }
  const offer = (relationship: string, name: string) =>
    call('POST', `/meshes/acme/relationships/${relationship}/offers`, {
      body: { namespace: 'shop', name, ports: [{ name: 'http', port: 80 }], identities: ['/cart'] },
    })
  for (const name of ['cart', 'pay', 'stock', 'mail']) {
    t.equal((await offer('globex', name)).status, 201)
  }
  t.equal((await offer('paused', 'cart')).status, 201)
  const source = unimportedSource(snapshots)
  const found = async () => {
    await clock.advance(MESH_FINDINGS_SECONDS * 1000)
    const conditions = await source(db, clock.now())
    return conditions.map(({ meshId, code, object, message }) =>
      [meshId, code, object, message].join(' | '),
    )
  }
  t.same(await found(), [
    'acme | offers.not-imported | globex | globex offers what we do not import: shop/cart, shop/mail, shop/pay and 1 more; entente rule import shop/cart --from globex',
  ])
  const rule = async (effect: string, name: string) =>
    call('POST', '/meshes/acme/rules', {
      body: {
        direction: 'import',
        effect,
        subject: { namespace: 'shop', name },
        audience: { kind: 'peers', relationships: ['globex'] },
      },
    })
  t.equal((await rule('allow', 'cart')).status, 201)
  t.equal((await rule('deny', 'mail')).status, 201)
  t.match(await found(), [/not import: shop\/pay, shop\/stock; entente rule import shop\/pay /])
  await rule('allow', '*')
  t.same(await found(), [], 'what a rule refuses is decided, too')
})
