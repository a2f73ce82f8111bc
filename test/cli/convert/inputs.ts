import { type Origin } from '../../../src/cli/convert/options.ts'

const named = (nameSelector: object) => ({ type: 'NameSelector', nameSelector })
const metadata = { namespace: 'shop', name: 'cart' }
/** Policy of each system with everything that is converted, for the peers globex and initech. */
export const INPUTS: Readonly<Record<Origin, readonly object[]>> = {
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
