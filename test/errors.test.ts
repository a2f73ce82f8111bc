import { execFileSync } from 'node:child_process'
import fc from 'fast-check'
import t from 'tap'
import { command, inShell } from '../src/errors.ts'
import { seeded } from './support/seeded.ts'

const HOSTILE = [
  '',
  "it's",
  '"',
  '$(touch /tmp/owned)',
  '`id`',
  'a b',
  'a;b',
  '~',
  '=ls',
  '*',
  '[::1]',
  '!!',
  'a\nrm -rf b',
  "a\r'\n$(id)\\",
  '\u001B[31mred',
  'a\u202Eb',
  '\\',
  'ü',
]

/** What a shell makes of words that stand in a script. */
function readBack(shell: string, words: readonly string[]): string[] {
  const script = `printf '%s\\0' ${words.join(' ')}`
  return execFileSync(shell, ['-c', script], { encoding: 'utf8' }).split('\0').slice(0, -1)
}

t.test('a word in a command reaches the program as it is, whatever is in it', async (t) => {
  t.same(readBack('bash', HOSTILE.map(inShell)), HOSTILE)
  const posix = HOSTILE.filter((word) => !inShell(word).startsWith('$'))
  t.same(readBack('sh', posix.map(inShell)), posix)
  for (const word of HOSTILE) t.notMatch(inShell(word), /[\p{Cc}\p{Cf}]/u, 'nothing hides in it')
  const plain = ['shop/cart', 'http:8080', '/ns/web/sa/x', 'a.example']
  t.same(plain.map(inShell), plain)
})

t.test('a shell reads back any words', async (t) => {
  const word = fc.string({ unit: 'binary' }).map((text) => text.replaceAll('\0', ''))
  seeded(
    t,
    fc.property(fc.array(word, { minLength: 1, maxLength: 200 }), (words) => {
      return readBack('bash', words.map(inShell)).join('\0') === words.join('\0')
    }),
    20,
  )
})

t.test('values of a command are words, and lists of them', async (t) => {
  const name = "x'; rm -rf ~"
  t.equal(
    command`entente service add ${name} ${['--port', 'a:1']} --identity ID`,
    String.raw`entente service add 'x'\''; rm -rf ~' --port a:1 --identity ID`,
  )
  t.equal(
    command`entente service add ${'a/b'} ${[]} --identity ID`,
    'entente service add a/b --identity ID',
  )
  t.equal(command`entente federation list`, 'entente federation list')
})
