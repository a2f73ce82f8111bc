import t from 'tap'
import { ORIGINS } from '../../../src/cli/convert/options.ts'
import { peerGroupRoutes } from '../../../src/federation/group/peer-group-routes.ts'
import { ruleRoutes } from '../../../src/policy/change/rule-routes.ts'
import { federationApp } from '../../federation/federation-app.ts'
import { addRelationship } from '../../policy/policy-app.ts'
import { converted } from './converted.ts'
import { INPUTS } from './inputs.ts'

t.test('every document that is printed is one that the API takes', async (t) => {
  const app = await federationApp(t, {
    mount: (v1, { database, clock, peerGroupRoutes: options }) => {
      const { db } = database
      v1.register(peerGroupRoutes, options)
      v1.register(ruleRoutes, { db, now: clock.db })
    },
  })
  for (const name of ['globex', 'initech']) {
    await addRelationship(app.database.db, app.meshId, { name })
  }
  for (const from of ORIGINS) {
    const documents = INPUTS[from]
    const text = documents.map((one) => JSON.stringify(one)).join('\n---\n')
    const printed = converted(from, text, { peers: ['globex', 'initech'] })
    t.ok(printed.documents.length > 2, from)
    for (const { kind, ...body } of printed.documents) {
      const collection = kind === 'Rule' ? 'rules' : 'peer-groups'
      const answer = await app.call('POST', `/meshes/acme/${collection}`, { body })
      t.equal(answer.status, 201, `${kind} ${body.name}: ${answer.body.detail}`)
    }
  }
})
