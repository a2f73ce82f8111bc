import t from 'tap'
import { converted, lines } from './converted.ts'

function exportSet(exportRules: unknown) {
  return {
    apiVersion: 'federation.maistra.io/v1',
    kind: 'ExportedServiceSet',
    metadata: { name: 'globex', namespace: 'mesh-system' },
    spec: { exportRules },
  }
}

function importSet(spec: object) {
  return { kind: 'ImportedServiceSet', metadata: { name: 'globex' }, spec }
}

const named = (nameSelector: object) => ({ type: 'NameSelector', nameSelector })

const federation = (spec: object) => ({
  kind: 'MeshFederation',
  metadata: { name: 'default' },
  spec,
})

t.test('rule i of n gets priority n − i; empty, absent and * mean all or keep', async (t) => {
  const { documents, refused } = converted(
    'ossm',
    exportSet([
      named({ namespace: 'bookinfo', name: 'ratings', alias: { namespace: 'shop', name: '*' } }),
      named({ namespace: '*', name: 'reviews', alias: { name: 'opinions' } }),
      named({ alias: { namespace: '', name: '' } }),
    ]),
  )
  t.strictSame(lines({ documents }), [
    'export allow bookinfo/ratings globex as shop/- #3',
    'export allow */reviews globex as -/opinions #2',
    'export allow */* globex #1',
  ])
  t.strictSame(refused, [])
  t.strictSame(
    documents.map(({ name }) => name),
    ['ossm-export-globex-1', 'ossm-export-globex-2', 'ossm-export-globex-3'],
  )
})

t.test('a label selector tries its aliases in order, then keeps the name', async (t) => {
  const selector = { matchLabels: { shared: 'true' } }
  const aliases = [
    { namespace: 'bookinfo', name: 'ratings', alias: { name: 'stars' } },
    { namespace: 'elsewhere', name: 'never' },
    { name: 'reviews', alias: { namespace: 'shop' } },
  ]
  const labelSelector = { namespace: 'bookinfo', selector, aliases }
  const { documents } = converted('ossm', exportSet([{ type: 'LabelSelector', labelSelector }]))
  t.strictSame(lines({ documents }), [
    'export allow bookinfo/ratings labelled globex as -/stars #3',
    'export allow bookinfo/reviews labelled globex as shop/- #2',
    'export allow bookinfo/* labelled globex #1',
  ])
  t.strictSame(documents[0]?.subject.labels, selector)
})

t.test(
  'placement, merging and templates are refused by name and the rest is converted',
  async (t) => {
    const { documents, refused } = converted(
      'ossm',
      importSet({
        domainSuffix: 'globex.example',
        locality: { region: 'eu' },
        importRules: [
          {
            ...named({ namespace: 'a', name: 'b', alias: { namespace: 'c' } }),
            importAsLocal: true,
          },
          { ...named({ namespace: 'a' }), domainSuffix: 'other.example' },
          { ...named({ namespace: 'z' }), importAsLocal: true },
        ],
      }),
    )
    t.strictSame(refused, [
      'ImportedServiceSet globex spec.domainSuffix',
      'ImportedServiceSet globex spec.locality',
      'ImportedServiceSet globex spec.importRules[0].importAsLocal',
      'ImportedServiceSet globex spec.importRules[1].domainSuffix',
      'ImportedServiceSet globex spec.importRules[2].importAsLocal',
    ])
    t.strictSame(lines({ documents }), [
      'import allow a/b globex as c/- #2',
      'import allow a/* globex #1',
      'export allow * globex',
    ])
  },
)

t.test('rules that match nothing there match nothing here, and are named', async (t) => {
  const { documents, refused } = converted(
    'ossm',
    exportSet([
      { type: 'LabelSelector', nameSelector: {} },
      { type: 'Name', nameSelector: {} },
      named({ name: 'half*' }),
      {
        type: 'LabelSelector',
        labelSelector: { selector: { matchExpressions: [{ key: 'a', operator: 'In' }] } },
      },
      named({ name: 'good' }),
    ]),
  )
  t.strictSame(lines({ documents }), ['export allow */good globex #1'])
  t.strictSame(refused, [
    'ExportedServiceSet globex spec.exportRules[0].labelSelector',
    'ExportedServiceSet globex spec.exportRules[1].type',
    'ExportedServiceSet globex spec.exportRules[2].nameSelector.name',
    'ExportedServiceSet globex spec.exportRules[3].labelSelector.selector.matchExpressions[0].values',
  ])
})

t.test('one name for many services is refused, and each keeps its own', async (t) => {
  const alias = { namespace: 'shop', name: 'everything' }
  const { documents, refused } = converted('ossm', exportSet([named({ namespace: 'a', alias })]))
  t.strictSame(lines({ documents }), ['export allow a/* globex as shop/- #1'])
  t.strictSame(refused, ['ExportedServiceSet globex spec.exportRules[0].nameSelector.alias.name'])
})

t.test('the successor exports by labels to all and imports all', async (t) => {
  const some = federation({ export: { serviceSelectors: { matchLabels: { export: 'true' } } } })
  t.strictSame(lines(converted('ossm', some)), [
    'export allow */* labelled all',
    'import allow */* all',
    'export allow * all',
  ])
  const all = federation({ export: { serviceSelectors: {} } })
  t.equal(lines(converted('ossm', all))[0], 'export allow */* all')
  const none = converted('ossm', federation({ trustDomain: 'x' }))
  t.equal(lines(none)[0], 'import allow */* all', 'no selector exports nothing')
  t.match(none.remarks, [/joins the endpoints unasked/])
})

t.test('a list of kubectl is read item by item, and other kinds are named', async (t) => {
  const { documents, refused } = converted('ossm', {
    kind: 'List',
    items: [exportSet([named({})]), { kind: 'ServiceMeshPeer', metadata: { name: 'globex' } }],
  })
  t.equal(documents.length, 1)
  t.strictSame(refused, ['ServiceMeshPeer globex kind'])
})
