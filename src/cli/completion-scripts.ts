/** Shells that can be told how to complete. */
export const shells = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof shells)[number];

/*
 * Each script hands the words up to the cursor to `sessiond __complete`, which prints what the last
 * of them may become, one a line. Nothing printed: names of files.
 */
export const completionScripts: Readonly<Record<Shell, string>> = {
  bash: `_sessiond() {
  local line
  COMPREPLY=()
  while IFS= read -r line; do
    COMPREPLY+=("$(printf %q "$line")")
  done < <(sessiond __complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o default -F _sessiond sessiond
`,
  zsh: `#compdef sessiond
_sessiond() {
  local -a found
  found=("\${(@f)$(sessiond __complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ -n "\${found[1]}" ]]; then compadd -a found; else _files; fi
}
if [[ "\${funcstack[1]}" = _sessiond ]]; then _sessiond; else compdef _sessiond sessiond; fi
`,
  fish: `function __sessiond_complete
  set -l words (commandline -opc) (commandline -ct)
  sessiond __complete -- $words[2..-1] 2>/dev/null
end
complete -c sessiond -f -a '(__sessiond_complete)'
complete -c sessiond -n '__fish_seen_subcommand_from import' -F
`,
};
