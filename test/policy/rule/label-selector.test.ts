import t from 'tap'
import { readSelector } from '../../../src/cli/label-selector.ts'
import {
  type LabelSelector,
  selectorErrors,
  selectorLine,
  selects,
} from '../../../src/policy/rule/label-selector.ts'

const labels = { app: 'web', tier: 'front', constructor: 'x' }

t.test('selectors choose as in Kubernetes, and are written as kubectl reads them', async (t) => {
  for (const [text, chosen] of [
    ['app=web', true],
    ['app==web,tier=front', true],
    ['app=web,tier=back', false],
    ['app in (api,web)', true],
    ['app notin (api)', true],
    ['app notin (api,web)', false],
    ['absent notin (x)', true],
    ['absent!=x', true],
    ['app!=web', false],
    ['tier', true],
    ['toString', false],
    ['constructor', true],
    ['!toString', true],
    ['!tier', false],
    ['absent=', false],
  ] as const) {
    const selector: LabelSelector = readSelector(text)
    t.equal(selects(selector, labels), chosen, text)
    t.same(selectorErrors(selector, '/labels'), [], text)
    t.same(readSelector(selectorLine(selector)), selector, `${text} again`)
  }
})

function pointers(selector: LabelSelector): string[] {
  return selectorErrors(selector, '/labels').map(({ pointer }) => pointer)
}

t.test('what is no selector is refused at its place', async (t) => {
  t.same(pointers({}), ['/labels'])
  t.same(pointers({ matchLabels: { 'a/b/c': 'x', ok: 'no value' } }), [
    '/labels/matchLabels/a~1b~1c',
    '/labels/matchLabels/ok',
  ])
  const expression = { key: 'tier', operator: 'In' } as const
  t.same(pointers({ matchExpressions: [expression, { ...expression, values: ['ok', '-'] }] }), [
    '/labels/matchExpressions/0/values',
    '/labels/matchExpressions/1/values/1',
  ])
  t.same(pointers({ matchExpressions: [{ key: 'x', operator: 'Exists', values: ['y'] }] }), [
    '/labels/matchExpressions/0/values',
  ])
  for (const text of ['', 'app in', '=x', 'a b', 'app=web,app=api']) {
    t.throws(() => readSelector(text), /label/, text)
  }
})
