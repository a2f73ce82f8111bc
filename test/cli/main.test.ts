import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { type Command } from 'commander'
import t from 'tap'
import { Cli } from '../../src/cli/cli.ts'
import { createProgram } from '../../src/cli/main.ts'
import { dataFolder, ran } from '../support/small-server.ts'

t.test(
  '--help explains every command with its arguments, exit codes and environment',
  async (t) => {
    const { code, out } = await ran(['--help'])
    t.equal(code, 0)
    t.match(out, /Exit codes:\s+0 {2}done/)
    for (const word of [
      'serve',
      'migrate',
      'kek',
      'admin-token',
      'ENTENTE_ADDR',
      '--output',
      '--mesh',
    ]) {
      t.match(out, word)
    }
  },
)

t.test('every command and subcommand has a description, and so has every option', async (t) => {
  const streams = { stdin: process.stdin, stdout: process.stdout, stderr: process.stderr }
  const walk = (command: Command): void => {
    t.not(command.description(), '', command.name())
    for (const option of command.options)
      t.not(option.description, '', `${command.name()} ${option.flags}`)
    for (const child of command.commands) walk(child)
  }
  const program = createProgram({}, streams)
  walk(program)
  const own = new Set(['--output', '--mesh', '--data-dir'])
  for (const command of program.commands) {
    for (const child of [command, ...command.commands]) {
      const taken = child.options.filter(({ long }) => own.has(long ?? ''))
      t.same(taken, [], `${child.name()} leaves the global options alone`)
    }
  }
})

t.test('every subcommand answers --help with exit code 0', async (t) => {
  const streams = { stdin: process.stdin, stdout: process.stdout, stderr: process.stderr }
  const paths: string[][] = []
  const collect = (command: Command, above: readonly string[]): void => {
    for (const child of command.commands) {
      paths.push([...above, child.name()])
      collect(child, [...above, child.name()])
    }
  }
  collect(createProgram({}, streams), [])
  for (const words of paths) {
    const { code, out } = await ran([...words, '--help'])
    t.equal(code, 0, words.join(' '))
    t.match(out, `Usage: entente ${words.join(' ')}`)
    t.notMatch(out, '[]', 'no times is no default to tell of')
  }
})

t.test('a wrong command line ends with exit code 2 and says what is wrong', async (t) => {
  for (const argv of [
    [],
    ['bogus'],
    ['kek'],
    ['kek', 'create'],
    ['--output', 'xml', 'serve'],
    ['serve', '--bogus'],
    ['--mesh', '', 'serve'],
    ['serve', 'extra'],
  ]) {
    const { code, out, err } = await ran(argv)
    t.equal(code, 2, argv.join(' '))
    t.equal(out, '')
    t.match(err, /error:|Usage:/)
  }
})

t.test('a mistyped command is answered with the nearest one', async (t) => {
  const { err } = await ran(['serv'])
  t.match(err, /Did you mean serve\?/)
})

t.test('a hostile argument is not echoed raw', async (t) => {
  const { err } = await ran(['\u001b[2J'])
  t.notMatch(err, '\u001b')
})

t.test('a file is read, and "-" is standard input', async (t) => {
  const file = path.join(dataFolder(t), 'x')
  writeFileSync(file, 'hello')
  const streams = { stdin: process.stdin, stdout: process.stdout, stderr: process.stderr }
  const cli = new Cli({ env: {}, streams, globals: () => ({ output: 'table' }) })
  t.equal(Buffer.from(await cli.readInput(file)).toString(), 'hello')
  const failure: unknown = await cli.readInput(`${file}.absent`).catch((thrown: unknown) => thrown)
  t.match(failure, { exitCode: 2 })
})
