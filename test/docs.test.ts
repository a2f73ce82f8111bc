import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import t from 'tap'
import { ConfigSchema } from '../src/config-schema.ts'
import { PAGES } from '../src/docs.ts'
import { ALERT_CODES } from '../src/federation/alert/alert-codes.ts'
import { aliasesIn, commandLinesIn, faultInNamed, faultOf } from './support/command-lines.ts'
import { readPage } from './support/markdown.ts'

const ROOT = join(import.meta.dirname, '..')
const FILES = ['README.md', ...globSync('docs/**/*.md', { cwd: ROOT })]

const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8')
const settingsIn = (text: string): string[] => text.match(/\bENTENTE_[A-Z][A-Z_]*[A-Z]\b/g) ?? []
const isCommand = (line: string): boolean => /^(?:\$ )?entente /.test(line)
const page = (name: string): string => read(join('docs', name))

t.test('the generated pages say what the tables say', async (t) => {
  for (const [name, write] of Object.entries(PAGES)) {
    t.equal(page(name), write(), `docs/${name}: npm run docs`)
  }
})

t.test('every alert has its section, and every metric its row', async (t) => {
  const alerts = page('alerts.md')
  for (const code of Object.keys(ALERT_CODES)) t.match(alerts, `### \`${code}\``)
  const metrics = page('metrics.md')
  for (const name of ['entente_alerts', 'entente_trust_breaks_seconds', 'entente_polls_total']) {
    t.match(metrics, `| \`${name}\` |`)
  }
})

t.test('every command in a code block of the documentation parses', async (t) => {
  let count = 0
  for (const path of FILES) {
    const { shellLines, plainLines } = readPage(read(path))
    const aliases = new Map(shellLines.flatMap((line) => [...aliasesIn(line)]))
    const found = [
      ...shellLines.flatMap((line) => commandLinesIn(line, aliases)),
      ...plainLines.filter(isCommand).flatMap((line) => commandLinesIn(line)),
    ]
    for (const words of found) {
      t.equal(await faultOf(words), undefined, `${path}: entente ${words.join(' ')}`)
    }
    count += found.length
  }
  t.ok(count > 100, `${count} commands were found`)
})

t.test('every command that the documentation names has that name and those options', async (t) => {
  let count = 0
  for (const path of FILES) {
    for (const span of readPage(read(path)).codeSpans) {
      for (const words of commandLinesIn(span)) {
        count += 1
        t.equal(faultInNamed(words), undefined, `${path}: \`${span}\``)
      }
    }
  }
  t.ok(count > 50, `${count} commands were found`)
})

t.test('every link within the documentation leads to a file and a heading', async (t) => {
  for (const path of FILES) {
    for (const link of readPage(read(path)).links) {
      if (/^[a-z]+:/.test(link)) continue
      const [file = '', anchor] = link.split('#')
      const target = file === '' ? path : relative(ROOT, join(ROOT, dirname(path), file))
      t.ok(existsSync(join(ROOT, target)), `${path}: ${link}`)
      if (anchor === undefined) continue
      t.ok(readPage(read(target)).anchors.has(anchor), `${path}: ${link} is a heading`)
    }
  }
})

t.test('every page about federation is in the index', async (t) => {
  const { links } = readPage(read('docs/federation/README.md'))
  for (const name of globSync('*.md', { cwd: join(ROOT, 'docs/federation') })) {
    if (name !== 'README.md') t.ok(links.includes(name), name)
  }
})

t.test('every setting that the documentation names exists', async (t) => {
  const ofCommands = globSync('src/cli/**/*.ts', { cwd: ROOT }).flatMap((path) =>
    settingsIn(read(path)),
  )
  const settings = Object.keys(ConfigSchema.properties).map((name) => `ENTENTE_${name}`)
  const known = new Set([...settings, ...ofCommands])
  for (const path of FILES) {
    const unknown = settingsIn(read(path)).filter((name) => !known.has(name))
    t.same(unknown, [], path)
  }
})

t.test('what is checked here would be found', async (t) => {
  t.match(await faultOf(['federation', 'show']), 'missing required argument')
  t.match(await faultOf(['federation', 'show', 'globex', '--nothing']), 'unknown option')
  t.match(await faultOf(['federation', 'nothing', 'globex']), 'unknown command')
  t.match(await faultOf(['federation', 'add', 'globex']), 'required option')
  t.match(faultInNamed(['bundle', 'reader', 'delete', 'LABEL']), 'no command delete')
  t.match(faultInNamed(['federation', 'show', '--nothing']), 'no option --nothing')
  t.same(commandLinesIn(`$ A=1 ./bin/entente a 'b c' > d.txt # e`), [['a', 'b c']])
  t.same(commandLinesIn(`x sh -c 'A=1 /app/bin/entente a b'`), [['a', 'b']])
  t.same(commandLinesIn('acme a | entente b &', new Map([['acme', ['--mesh', 'acme']]])), [
    ['--mesh', 'acme', 'a'],
    ['b'],
  ])
})
