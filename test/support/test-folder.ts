import type { Test } from 'tap'

/**
 * A folder of this test for something that keeps writing while it runs (a service, a database): it is removed
 * after every teardown of the test. `t.testdir` alone removes it before them when it is the first to be called.
 */
export function testFolder(
  t: Pick<Test, 'teardown' | 'testdir'>,
  content: Record<string, object> = {},
): string {
  // tap nests what ends a test: whatever is registered first runs first, so teardowns must open before the folder.
  t.teardown(() => undefined)
  return t.testdir(content as Parameters<Test['testdir']>[0])
}
