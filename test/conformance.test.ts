import { globSync, readFileSync } from 'node:fs'
import t from 'tap'

/** Items of each group that binds this service, as docs/conformance.md explains. */
const GROUPS = { ID: 22, X5: 33, JW: 23, BU: 22, FE: 44 } as const

function allIds(): string[] {
  return Object.entries(GROUPS).flatMap(([group, count]) =>
    Array.from({ length: count }, (_, i) => `${group}-${String(i + 1).padStart(2, '0')}`),
  )
}

/** Ids at the beginning of a test's title, as in `t.test('FE-27 FE-28 a redirect …'`. */
function idsInTests(): Map<string, string[]> {
  const found = new Map<string, string[]>()
  for (const file of globSync('test/**/*.test.ts')) {
    const text = readFileSync(file, 'utf8')
    for (const [, title = ''] of text.matchAll(/\.test\(\s*['"`](.*)/g)) {
      const ids = /^(?:(?:ID|X5|JW|BU|FE)-\d\d[ ,]+)+/.exec(title)?.[0] ?? ''
      for (const [id] of ids.matchAll(/[A-Z0-9]{2}-\d\d/g)) {
        found.set(id, [...(found.get(id) ?? []), file])
      }
    }
  }
  return found
}

/** Rows `| FE-29 | reason |` of docs/conformance.md. */
function explainedIds(): Map<string, string> {
  const page = readFileSync('docs/conformance.md', 'utf8')
  const rows = page.matchAll(/^\|\s*((?:ID|X5|JW|BU|FE)-\d\d)\s*\|\s*(.+?)\s*\|$/gm)
  return new Map([...rows].map(([, id = '', reason = '']) => [id, reason]))
}

t.test('every conformance item has a test named by its id or a documented reason', async (t) => {
  const tested = idsInTests()
  const explained = explainedIds()
  const uncovered = allIds().filter((id) => !tested.has(id))
  for (const id of uncovered)
    t.comment(`uncovered ${id}: ${explained.get(id) ?? 'NO REASON GIVEN'}`)
  t.comment(`${allIds().length - uncovered.length} of ${allIds().length} items have a test`)
  t.same(
    uncovered.filter((id) => !explained.has(id)),
    [],
    'each item without a test is explained in docs/conformance.md',
  )
})

t.test('docs/conformance.md explains only items that no test covers', async (t) => {
  const tested = idsInTests()
  t.same(
    [...explainedIds().keys()].filter((id) => tested.has(id)),
    [],
  )
  const known = new Set(allIds())
  t.same(
    [...tested.keys()].filter((id) => !known.has(id)),
    [],
    'no test names an item that does not exist',
  )
})

/** Rows `| SPIRE a: fault | proof |` of docs/conformance.md. */
function anchorFaults(): readonly { readonly fault: string; readonly proof: string }[] {
  const page = readFileSync('docs/conformance.md', 'utf8')
  const rows = page.matchAll(/^\|\s*((?:SPIRE|Galadriel) \w): .+?\s*\|\s*(.+?)\s*\|$/gm)
  return [...rows].map(([, fault = '', proof = '']) => ({ fault, proof }))
}

const SPIRE_FAULTS = 'a b c d e f g h'.split(' ').map((letter) => `SPIRE ${letter}`)
const GALADRIEL_FAULTS = '1 2 3 4 5 7'.split(' ').map((digit) => `Galadriel ${digit}`)

t.test(
  'every fault of others has a test that exists, or a reason why it cannot happen',
  async (t) => {
    const sources = globSync('test/**/*.ts')
      .filter((file) => file !== 'test/conformance.test.ts')
      .map((file) => readFileSync(file, 'utf8').replaceAll("\\'", "'"))
    const faults = anchorFaults()
    t.same(
      [...new Set(faults.map(({ fault }) => fault))].toSorted(),
      [...SPIRE_FAULTS, ...GALADRIEL_FAULTS].toSorted(),
    )
    for (const { fault, proof } of faults) {
      const titles = [...proof.matchAll(/"(.+?)"(?:, |$)/g)].map(([, title = '']) => title)
      for (const title of titles) {
        t.ok(
          sources.some(
            (source) => source.includes(`'${title}'`) || source.includes(`\`${title}\``),
          ),
          `${fault}: ${title}`,
        )
      }
      t.ok(titles.length > 0 || proof.length > 40, `${fault} has a test or a reason`)
    }
  },
)
