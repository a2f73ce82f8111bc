import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'

const ROOT = join(import.meta.dirname, '..')
const PAGE = readFileSync(join(ROOT, 'docs/deployment-models.md'), 'utf8')

interface Row {
  readonly number: number
  readonly shownBy: string
}

const rowsOf = (page: string): Row[] =>
  [...page.matchAll(/^\| +(\d+) +\|[^|]+\|(.+)\|$/gm)].map(([, number, shownBy = '']) => ({
    number: Number(number),
    shownBy: shownBy.trim(),
  }))

/** The tests that a row names: file and title. */
const testsIn = ({ shownBy }: Row): { file: string; title: string }[] =>
  [...shownBy.matchAll(/`(test\/[^`]+)`: "([^"]+)"/g)].map(([, file = '', title = '']) => ({
    file,
    title,
  }))

/** Whether a file has a test of exactly this title. */
const hasTest = (file: string, title: string): boolean => {
  const path = join(ROOT, file)
  if (!existsSync(path)) return false
  const tests = readFileSync(path, 'utf8').matchAll(/\.test\(\s*(['"`])((?:\\.|(?!\1).)*)\1/g)
  return [...tests].some(([, , written = '']) => written.replaceAll(/\\(.)/g, '$1') === title)
}

t.test('there is one row for each requirement', async (t) => {
  t.same(
    rowsOf(PAGE).map(({ number }) => number),
    Array.from({ length: 56 }, (_, index) => index + 1),
  )
})

t.test('each row names tests that exist, or the part to come, or why it is not ours', async (t) => {
  for (const row of rowsOf(PAGE)) {
    const tests = testsIn(row)
    const isExcused = /^(part|not ours): .{20}/.test(row.shownBy)
    t.equal(tests.length > 0, !isExcused, `${row.number} ${row.shownBy}`)
    for (const { file, title } of tests)
      t.ok(hasTest(file, title), `${row.number} ${file}: ${title}`)
  }
})

t.test('what is checked here would be found', async (t) => {
  const file = 'test/docs-deployment-models.test.ts'
  t.ok(hasTest(file, 'what is checked here would be found'))
  t.notOk(hasTest(file, 'what is checked here'))
  t.notOk(hasTest('test/nothing.test.ts', 'what is checked here would be found'))
})
