import { Document, visit } from 'yaml'
import { isUnsafe, sanitizeLine, sanitizeText } from './sanitize.ts'

/** How results are printed. */
export const OUTPUT_MODES = ['table', 'json', 'yaml'] as const

/** One of {@link OUTPUT_MODES}. */
export type OutputMode = (typeof OUTPUT_MODES)[number]

/** One column of a table: its heading and the cell of a row. */
export interface Column<T> {
  readonly title: string
  readonly value: (row: T) => unknown
}

/** Rows with the columns that show them on a terminal; JSON and YAML print the rows whole. */
export interface Table {
  readonly kind: 'table'
  readonly rows: readonly unknown[]
  readonly titles: readonly string[]
  readonly cells: readonly (readonly string[])[]
  readonly empty: readonly string[]
}

/** Builds a table; `empty` is the sentence that stands instead of a table without rows, and the commands that help. */
export function table<T>(
  rows: readonly T[],
  columns: readonly Column<T>[],
  empty: string | readonly string[] = 'none',
): Table {
  const titles = columns.map(({ title }) => sanitizeLine(title))
  const cells = rows.map((row) => columns.map(({ value }) => cellOf(value(row))))
  return { kind: 'table', rows, titles, cells, empty: [empty].flat() }
}

/** Whether a value was made by {@link table}. */
function isTable(value: unknown): value is Table {
  return typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'table'
}

/**
 * A result as text that ends with a line feed and cannot steer a terminal.
 *
 * In table mode an object becomes aligned `name  value` lines, its `next` commands last; a bigint is printed
 * as a decimal string in JSON.
 */
export function format(value: unknown, mode: OutputMode): string {
  if (mode === 'json') return formatJson(dataOf(value))
  if (mode === 'yaml') return formatYaml(dataOf(value))
  if (isTable(value)) return formatTable(value)
  if (typeof value === 'string') return endLine(sanitizeText(value))
  return isRecord(value) ? formatRecord(value) : endLine(cellOf(value))
}

function dataOf(value: unknown): unknown {
  const data = isTable(value) ? { items: value.rows } : value
  const text = JSON.stringify(data, (_, member: unknown) =>
    typeof member === 'bigint' ? member.toString() : member,
  )
  return text === undefined ? null : JSON.parse(text)
}

function formatJson(data: unknown): string {
  // every unsafe character left by JSON.stringify stands inside a string, where \uXXXX means the same
  return endLine(sanitizeText(JSON.stringify(data, undefined, 2)))
}

function formatYaml(data: unknown): string {
  const document = new Document(data)
  visit(document, {
    Scalar(_, node) {
      const text = typeof node.value === 'string' ? node.value.replaceAll(/[\n\t]/g, '') : ''
      if (isUnsafe(text)) node.type = 'QUOTE_DOUBLE'
    },
  })
  return endLine(sanitizeText(document.toString({ lineWidth: 0 })))
}

function formatTable({ titles, cells, empty }: Table): string {
  const [sentence = '', ...commands] = empty
  if (cells.length === 0) return endLine(sanitizeText(sentence)) + formatNext(commands)
  return alignColumns([titles, ...cells])
}

function formatRecord(record: Readonly<Record<string, unknown>>): string {
  const { next, ...members } = record
  const rows = Object.entries(members).filter(([, value]) => value !== undefined)
  const lines = alignColumns(rows.map(([name, value]) => [wordsOf(name), cellOf(value)]))
  const commands = Array.isArray(next) ? next.map(String) : []
  return lines + formatNext(commands)
}

/** The commands to try next, one a line, or nothing. */
export function formatNext(commands: readonly string[]): string {
  if (commands.length === 0) return ''
  return `\nnext:\n${commands.map((command) => `  ${sanitizeLine(command)}\n`).join('')}`
}

function alignColumns(rows: readonly (readonly string[])[]): string {
  const widths: number[] = []
  for (const row of rows) {
    for (const [column, cell] of row.entries()) {
      widths[column] = Math.max(widths[column] ?? 0, cell.length)
    }
  }
  const lines = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
  return lines.map((line) => `${line}\n`).join('')
}

function cellOf(value: unknown): string {
  if (value === null || value === undefined || value === '') return '-'
  if (typeof value === 'boolean') return value ? 'yes' : 'no'
  if (typeof value === 'string') return sanitizeLine(value)
  if (Array.isArray(value) && value.every((item) => typeof item !== 'object')) {
    return value.length === 0 ? '-' : value.map(cellOf).join(', ')
  }
  if (typeof value === 'number' || typeof value === 'bigint') return String(value)
  return sanitizeLine(JSON.stringify(dataOf(value)))
}

/** `lastSuccessAt` as `last success at`. */
function wordsOf(name: string): string {
  return sanitizeLine(name.replaceAll(/([a-z0-9])([A-Z])/g, '$1 $2').toLowerCase())
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function endLine(text: string): string {
  return text.endsWith('\n') ? text : `${text}\n`
}
