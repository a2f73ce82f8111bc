import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { type Test } from 'tap'
import { chains, generateChain } from './chain-arbitraries.ts'
import { compareWithOpenssl, opensslVersion } from './openssl-verify.ts'

/** The seed of the runs that are the same every time. */
export const FIXED_SEED = 20_270_115

/**
 * Compares our validator with openssl on so many generated chains; each disagreement must be a place where SPIFFE
 * asks for more. Skipped, with the reason, where there is no openssl.
 */
export async function compareChains(
  t: Test,
  { count, seed }: { readonly count: number; readonly seed: number },
): Promise<void> {
  const version = opensslVersion()
  if (version === undefined) {
    t.pass('skipped: the program openssl is not installed', { skip: 'no openssl' })
    return
  }
  t.comment(`${version}, ${count} chains, seed ${seed}`)
  const folder = mkdtempSync(join(tmpdir(), 'entente-chains-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const tally = new Map<string, number>()
  for (const spec of fc.sample(chains, { numRuns: count, seed })) {
    const found = compareWithOpenssl(generateChain(spec), folder)
    const what = found.kind === 'stricter' ? found.reason : found.kind
    tally.set(what, (tally.get(what) ?? 0) + 1)
    if (found.kind === 'unexplained') t.same(found, {}, JSON.stringify(spec))
  }
  for (const [what, number] of tally) t.comment(`${number}: ${what}`)
  t.notOk(tally.has('unexplained'), 'every disagreement is explained')
  for (const kind of ['both accept', 'both refuse']) {
    t.ok((tally.get(kind) ?? 0) > count / 10, `${kind}: often enough to mean something`)
  }
}
