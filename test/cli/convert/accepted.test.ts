import t from 'tap'
import { type Origin, ORIGINS } from '../../../src/cli/convert/options.ts'
import { peerGroupRoutes } from '../../../src/federation/group/peer-group-routes.ts'
import { ruleRoutes } from '../../../src/policy/rule/rule-routes.ts'
import { federationApp } from '../../federation/federation-app.ts'
import { addRelationship } from '../../policy/rule/policy-app.ts'
import { converted } from './converted.ts'

const named = (nameSelector: object) => ({ type: 'NameSelector', nameSelector })
const metadata = { namespace: 'shop', name: 'cart' }
const INPUTS: Readonly<Record<Origin, readonly object[]>> = {
  ossm: [
    {
      kind: 'ExportedServiceSet',
      metadata: { name: 'globex' },
      spec: {
        exportRules: [
          named({ namespace: 'a', name: 'b', alias: { namespace: 'c', name: 'd' } }),
          {
            type: 'LabelSelector',
            labelSelector: {
              selector: {
                matchLabels: { 'app.kubernetes.io/name': 'web' },
                matchExpressions: [{ key: 'tier', operator: 'NotIn', values: ['x'] }],
              },
            },
          },
        ],
      },
    },
    {
      kind: 'ImportedServiceSet',
      metadata: { name: 'globex' },
      spec: { importRules: [named({ alias: { namespace: 'imported' } })] },
    },
    { kind: 'MeshFederation', spec: { export: { serviceSelectors: {} } } },
  ],
  consul: [
    {
      Kind: 'exported-services',
      Services: [
        { Name: '*', Namespace: '*', Consumers: [{ Peer: 'globex' }, { SamenessGroup: 'eu' }] },
      ],
    },
    { Kind: 'sameness-group', Name: 'eu', IncludeLocal: true, Members: [{ Peer: 'initech' }] },
    {
      Kind: 'service-intentions',
      Name: 'cart',
      Namespace: 'shop',
      Sources: [
        { Name: 'front', Namespace: 'web', Peer: 'globex', Action: 'deny' },
        { Name: '*', Namespace: 'web', Peer: 'globex', Action: 'allow' },
        { Name: 'front', Namespace: 'web', SamenessGroup: 'eu', Action: 'allow' },
        { Name: '*', Namespace: '*', Action: 'allow' },
      ],
    },
  ],
  mcs: [
    { kind: 'ServiceExport', metadata },
    { kind: 'ServiceImport', metadata },
  ],
}

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
