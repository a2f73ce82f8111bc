import { existsSync, readdirSync } from 'node:fs'
import t from 'tap'
import { testFolder } from './test-folder.ts'

t.test('a folder of a test outlives what the test started in it', async (t) => {
  const seen: boolean[] = []
  let folder = ''
  await t.test('inner', async (t) => {
    folder = testFolder(t)
    t.teardown(() => void seen.push(existsSync(folder)))
  })
  t.strictSame(seen, [true], 'still there when the teardowns run')
  t.equal(existsSync(folder), false, 'and gone with the test')
})

t.test('every call gives a folder of its own', (t) => {
  const [first, second] = [testFolder(t, ['a', 'b']), testFolder(t)]
  t.not(first, second)
  t.strictSame(readdirSync(first), ['a', 'b'], 'the second call left it alone')
  t.end()
})
