import { execFile } from 'node:child_process'
import { readFileSync, symlinkSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { testFolder } from '../support/test-folder.ts'

/** The walk of the README as one shell script, exactly as written; aliases work as they do when typed. */
function walk(): string {
  const blocks = readFileSync('README.md', 'utf8').matchAll(/^```sh\n([\s\S]*?)^```$/gm)
  return `set -e -m\nshopt -s expand_aliases\n${[...blocks].map(([, text]) => text).join('\n')}`
}

t.test('the walk of the README works as written', { timeout: 300_000 }, async (t) => {
  const folder = testFolder(t)
  symlinkSync(resolve('bin'), join(folder, 'bin'))
  const path = `${resolve('node_modules/.bin')}:${process.env['PATH'] ?? ''}`
  const run = promisify(execFile)('bash', ['-c', walk()], {
    cwd: folder,
    env: { ...process.env, PATH: path },
    timeout: 240_000,
    maxBuffer: 16 * 1024 * 1024,
  })
  const { stdout } = await run.catch((error: unknown) => {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string }
    const log = readFileSync(join(folder, 'acme.log'), 'utf8').slice(-4000)
    throw new Error(`the walk failed\n${stdout}\n${stderr}\n${log}`)
  })
  for (const expected of [
    /globex\s+active\s+ok/,
    /batch may not call shop.cart/,
    /spiffe:\/\/globex.example\/ns\/shop\/sa\/cart/,
    /records verified/,
  ]) {
    t.match(stdout, expected)
  }
})
