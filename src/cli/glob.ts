// Patterns of names on the command line.

/** Shell-like patterns: `*` and `?` stay within a folder, `**` does not. */
export function matches(glob: string, name: string): boolean {
  const pattern = glob.replace(/\*\*|[*?]|[.+^${}()|[\]\\]/g, (part) => {
    if (part === '**') return '.*';
    if (part === '*') return '[^/]*';
    return part === '?' ? '[^/]' : `\\${part}`;
  });
  return new RegExp(`^${pattern}$`).test(name);
}
