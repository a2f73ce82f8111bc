import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'

/**
 * A new folder of this test for something that keeps writing while it runs (a service, a database), with these empty
 * folders in it. It is removed after the teardowns of what is started in it.
 *
 * `t.testdir` does neither: it empties the folder of whoever called it before in the same test, or runs the same test in
 * the same checkout, and may remove it before the teardowns.
 */
export function testFolder(t: Pick<Test, 'teardown'>, folders: readonly string[] = []): string {
  const folder = mkdtempSync(join(tmpdir(), 'entente-test-'))
  // Teardowns run in reverse: this one, registered before anything can start in the folder, comes last.
  t.teardown(() => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }))
  for (const name of folders) mkdirSync(join(folder, name))
  return folder
}
