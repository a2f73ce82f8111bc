import { readFileSync } from 'node:fs'
import t from 'tap'
import { fits, parseNamePattern, parsePathPattern } from '../../../src/policy/rule/pattern.ts'
import { callerFacts } from '../../../src/policy/rule/callers.ts'

interface Fit {
  readonly pattern: string
  readonly yes: readonly string[]
  readonly no: readonly string[]
}

interface Vectors {
  readonly names: { readonly good: readonly string[]; readonly bad: readonly string[] }
  readonly paths: { readonly good: readonly string[]; readonly bad: readonly string[] }
  readonly fits: readonly Fit[]
  readonly fitsPath: readonly Fit[]
  readonly callerNamespaces: readonly { readonly path: string; readonly namespace: string | null }[]
}

const vectors = JSON.parse(
  readFileSync(new URL('../../vectors/rule-patterns.json', import.meta.url), 'utf8'),
) as Vectors

t.test('name patterns are DNS labels with a star whole or last, and nothing else', async (t) => {
  for (const text of vectors.names.good) t.equal(parseNamePattern(text).text, text)
  for (const text of vectors.names.bad) {
    t.throws(() => parseNamePattern(text), { code: 'RULE_INVALID' }, JSON.stringify(text))
  }
})

t.test('path patterns are SPIFFE paths with a star whole or last, and nothing else', async (t) => {
  for (const text of vectors.paths.good) t.equal(parsePathPattern(text).text, text)
  for (const text of vectors.paths.bad) {
    t.throws(() => parsePathPattern(text), { code: 'RULE_INVALID' }, JSON.stringify(text))
  }
})

t.test('a pattern fits whole names, never parts of them', async (t) => {
  const tables = [
    { parse: parseNamePattern, rows: vectors.fits },
    { parse: parsePathPattern, rows: vectors.fitsPath },
  ]
  for (const { parse, rows } of tables) {
    for (const { pattern, yes, no } of rows) {
      for (const value of yes) t.ok(fits(parse(pattern), value), `${pattern} fits "${value}"`)
      for (const value of no)
        t.notOk(fits(parse(pattern), value), `${pattern} does not fit "${value}"`)
    }
  }
})

t.test('the namespace of a caller is the one its path names first', async (t) => {
  for (const { path, namespace } of vectors.callerNamespaces) {
    t.equal(callerFacts(path).namespace ?? null, namespace, path)
  }
})
