import t from 'tap'
import { converted, lines } from './converted.ts'

const metadata = { namespace: 'shop', name: 'cart' }

t.test('an exported service goes to the group that stands for the cluster set', async (t) => {
  const { documents, refused } = converted(
    'mcs',
    { apiVersion: 'multicluster.x-k8s.io/v1beta1', kind: 'ServiceExport', metadata },
    { group: 'eu', peers: ['west', 'east'] },
  )
  t.strictSame(refused, [])
  t.strictSame(documents[0], {
    kind: 'PeerGroup',
    name: 'eu',
    members: [{ relationship: 'west' }, { relationship: 'east' }],
  })
  t.strictSame(lines({ documents }), ['export allow shop/cart @eu'])
  t.equal(documents[1]?.name, 'mcs-export-shop-cart')
})

t.test(
  'an imported one is converted but for its common name and the merging of clusters',
  async (t) => {
    const spec = { type: 'ClusterSetIP', ports: [{ port: 80 }], sessionAffinity: 'ClientIP' }
    const { documents, refused, details, remarks } = converted('mcs', {
      kind: 'ServiceImport',
      metadata,
      spec,
    })
    t.strictSame(lines({ documents }), [
      'import allow shop/cart @clusterset',
      'export allow * @clusterset',
    ])
    t.strictSame(refused, ['ServiceImport cart spec.sessionAffinity', 'ServiceImport cart'])
    t.match(details[1], /cart\.shop\.svc\.clusterset\.local.*template.*merging/)
    t.match(remarks, [/entente peer-group create clusterset/])
  },
)

t.test('labels of an export and names that are none are refused by name', async (t) => {
  const { documents, refused } = converted(
    'mcs',
    [
      'kind: ServiceExport\nmetadata: {namespace: shop, name: cart}\nspec: {exportedLabels: {a: b}}',
      'kind: ServiceExport\nmetadata: {namespace: shop, name: "../etc"}',
      'kind: Service\nmetadata: {namespace: shop, name: x}',
    ].join('\n---\n'),
  )
  t.equal(lines({ documents }).length, 1)
  t.strictSame(refused, [
    'ServiceExport cart spec.exportedLabels',
    'ServiceExport ../etc metadata.name',
    'Service x kind',
  ])
})
