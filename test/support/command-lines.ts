import { type Command, CommanderError } from 'commander'
import { createProgram } from '../../src/cli/main.ts'

/** Words of one command after the name of our executable. */
export type CommandLine = readonly string[]

const OPERATORS = /^(?:\|\|?|&&?|;|[0-9]?>>?|<)$/

/** The calls of our executable in a line of a shell, also under an alias and within quotes. */
export function commandLinesIn(
  line: string,
  aliases: ReadonlyMap<string, CommandLine> = new Map(),
): CommandLine[] {
  const found: CommandLine[] = []
  let current: string[] | undefined
  let isCommandPlace = true
  for (const { word, quoted } of wordsOf(line)) {
    if (!quoted && OPERATORS.test(word)) {
      current = undefined
      isCommandPlace = !/[<>]/.test(word)
    } else if (current !== undefined) current.push(word)
    else if (quoted && /(?:^|[\s/])entente /.test(word)) found.push(...commandLinesIn(word))
    else if (isCommandPlace && !quoted && !/^(?:\$|[A-Z_]+=.*)$/.test(word)) {
      isCommandPlace = false
      const alias = isOurs(word) ? [] : aliases.get(word)
      if (alias !== undefined) found.push((current = [...alias]))
    }
  }
  return found
}

/** The aliases that a line of a shell makes for our executable. */
export function aliasesIn(line: string): Map<string, CommandLine> {
  if (!line.startsWith('alias ')) return new Map()
  const made = line.matchAll(/([a-z]+)="entente ([^"]*)"/g)
  return new Map([...made].map(([, name = '', words = '']) => [name, words.split(' ')]))
}

/** What the program has against a whole command line; undefined when it parses. Nothing is run. */
export async function faultOf(words: CommandLine): Promise<string | undefined> {
  const program = idleProgram()
  try {
    await program.parseAsync([...words], { from: 'user' })
    return undefined
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    return error.exitCode === 0 ? undefined : error.message
  }
}

/**
 * What the program has against a command that prose names, whose arguments may be left out: sub-commands and options
 * must exist.
 */
export function faultInNamed(words: CommandLine): string | undefined {
  const program = idleProgram()
  let command: Command = program
  let isValue = false
  for (const word of words) {
    const next = command.commands.find((one) => one.name() === word)
    const option = [...command.options, ...program.options].find(
      ({ short, long }) => word === short || word === long,
    )
    if (isValue) isValue = false
    else if (next !== undefined) command = next
    else if (option !== undefined) isValue = option.required
    else if (word.startsWith('-')) return `${command.name()} has no option ${word}`
    else if (command.registeredArguments.length === 0) {
      return `${command.name()} has no command ${word}`
    }
  }
  return undefined
}

function isOurs(word: string): boolean {
  return word === 'entente' || word.endsWith('bin/entente')
}

/** Our program, whose commands do nothing. */
function idleProgram(): Command {
  const silent = { write: () => true } as unknown as NodeJS.WriteStream
  const program = createProgram({}, { stdin: process.stdin, stdout: silent, stderr: silent })
  const idle = (command: Command): void => {
    // Those without an action stay so: without a sub-command they are mistakes.
    if (Reflect.get(command, '_actionHandler') !== null) command.action(() => undefined)
    for (const one of command.commands) idle(one)
  }
  for (const command of program.commands) idle(command)
  return program
}

/** Words of a line of a shell up to a comment; quotes are taken away. */
function wordsOf(line: string): { readonly word: string; readonly quoted: boolean }[] {
  const words: { word: string; quoted: boolean }[] = []
  const pattern =
    /\s*(?:(#.*$)|(\|\|?|&&?|;|[0-9]?>>?(?:&[0-9])?|<)|((?:"[^"]*"|'[^']*'|[^\s"'|&;<>])+))/g
  for (const [, comment, operator, text] of line.matchAll(pattern)) {
    if (comment !== undefined) break
    if (operator !== undefined) words.push({ word: operator, quoted: false })
    else if (text !== undefined) {
      const word = text.replaceAll(/"([^"]*)"|'([^']*)'/g, '$1$2')
      words.push({ word, quoted: /^["']/.test(text) })
    }
  }
  return words
}
