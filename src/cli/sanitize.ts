// C0 and C1 controls, DEL, line separators, and the marks that reorder or hide text on a terminal.
const UNSAFE =
  // oxlint-disable-next-line no-control-regex -- naming the control characters is the point
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g

/** One line of text that cannot steer a terminal: control and reordering characters become `\uXXXX`. */
export function sanitizeLine(text: string): string {
  return text.replaceAll(UNSAFE, escapeOf)
}

/** Text of several lines, tabs and line feeds kept; all else as {@link sanitizeLine}. */
export function sanitizeText(text: string): string {
  return text.replaceAll(UNSAFE, (found) =>
    found === '\n' || found === '\t' ? found : escapeOf(found),
  )
}

/** Whether text holds a character that {@link sanitizeLine} would escape. */
export function isUnsafe(text: string): boolean {
  return text.search(UNSAFE) !== -1
}

function escapeOf(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}
